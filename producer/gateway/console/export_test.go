package console

// SetBulkStep makes the steps of a bulk smaller, so that a few notifications take
// several.
func (c *Console) SetBulkStep(n int) { c.bulkStep = n }
