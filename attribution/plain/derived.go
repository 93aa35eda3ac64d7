package plain

// Derived counts the tokens of a contribution, given by its place in the corpus, and those among them that are derived:
// whose origin is another account (section 2). It is what validators look at before they approve.
func (e *Engine) Derived(contribution int) (derived, tokens uint64) {
	own := e.corpus.contributions[contribution].Account
	for r, record := range e.corpus.records[contribution] {
		earliest := e.corpus.earliest(contribution, r)
		for i := range record {
			if e.corpus.contributions[earliest[i]].Account != own {
				derived++
			}
		}
		tokens += uint64(len(record))
	}
	return derived, tokens
}

// earliest gives for each token of a record the contribution of the earliest home among the passages that cover it, its
// own contribution where there is none. It is what origin asks for one token, for all of them at once.
func (c *corpus) earliest(contribution, r int) []int {
	record := c.records[contribution][r]
	earliest := make([]int, len(record))
	for i := range earliest {
		earliest[i] = contribution
	}
	for i := range record {
		end, ok := passage(record, i)
		if !ok {
			break
		}
		home := c.home[newRun(record[i:end])].Contribution
		for j := i; j < end; j++ {
			earliest[j] = min(earliest[j], home)
		}
	}
	return earliest
}
