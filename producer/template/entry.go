package template

// Entry is what the settings file says about one template.
type Entry struct {
	App        string // appid
	TemplateID string
	Alias      string // "" for none; unique in its app
	Title      string // for people; WeChat's own wins
	// Fields are readable names of keys: applicant -> thing1. A field that is not
	// here goes by its key or its label.
	Fields []EntryField
	// Page is the pattern that a page must have; "" for any. See
	// [Template.CheckPage].
	Page string
	// Limits raise or lower the number of characters of single keys whose type
	// WeChat does not document (short_thing, const).
	Limits map[string]int
	Policy Policy // what is empty has its default
}

// EntryField gives a key a readable name.
type EntryField struct {
	Name string
	Key  string
}
