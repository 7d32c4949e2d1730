package app

// DevTemplates is the catalog of a simulated app.
var DevTemplates = devTemplates
