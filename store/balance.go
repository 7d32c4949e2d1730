package store

// Balance is what all openids of an app have left of a template together, as far
// as the ledger of consents knows. An entry of which nothing is known counts
// nowhere.
type Balance struct {
	App        string
	TemplateID string
	// Messages of a one-time template that are left.
	Messages int
	// Some and None are how many openids have messages of a one-time template left
	// and how many have none, LongTerm how many allowed any number.
	Some, None, LongTerm int
}

// Add is the sum of two.
func (b Balance) Add(c Balance) Balance {
	b.Messages += c.Messages
	b.Some += c.Some
	b.None += c.None
	b.LongTerm += c.LongTerm
	return b
}
