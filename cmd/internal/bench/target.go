package bench

// Target is what a figure should be.
type Target struct {
	Name  string  `json:"name"`
	Wants string  `json:"wants"`
	Got   float64 `json:"got"`
	Met   bool    `json:"met"`
}
