package postgres

// ReleaseOneSQL is the statement by which a consent lets one notification go.
const ReleaseOneSQL = releaseOneSQL
