package attesting

// BoundShares has an attestor hold no more shares than so many, until it is undone.
func BoundShares(most int) (undo func()) {
	before := mostShares
	mostShares = most
	return func() { mostShares = before }
}
