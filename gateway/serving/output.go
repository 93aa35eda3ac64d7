package serving

import (
	"bytes"
	"errors"

	"github.com/datanet-consortium/datanet/attribution/text1"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

// errFull tells a runner that nothing more is wanted: the answer is at its limit or at a stop text.
var errFull = errors.New("the answer is complete")

// output is the text of an answer as it grows: cut at its limit of canonical tokens and at stop texts. What it has passed
// on is never taken back.
type output struct {
	limit uint64 // tokens
	stops []string
	emit  func(string) error // passes a part on; nil: nobody waits for parts

	text    []byte // all that is accepted
	sent    int    // bytes of it that were passed on
	counted uint64 // tokens of the text before safe
	safe    int    // where the last white space stands: no token reaches across it
	finish  string // set once it is complete
}

// write adds a part. It returns errFull once nothing more is wanted, and what passing on fails with.
func (o *output) write(part string) error {
	if o.finish != "" {
		return errFull
	}
	before := len(o.text)
	o.text = append(o.text, part...)
	o.stop(before)
	o.count(o.withheld())
	if err := o.pass(o.withheld()); err != nil {
		return err
	}
	if o.finish != "" {
		return errFull
	}
	return nil
}

// end says that nothing more comes, for a reason unless the text was cut before, and passes on what was withheld.
func (o *output) end(finish string) error {
	if o.finish == "" {
		o.count(0)
	}
	if o.finish == "" {
		o.finish = finish
	}
	return o.pass(0)
}

// tokens is how many canonical tokens the text has.
func (o *output) tokens() uint64 {
	n := o.counted
	for s := text1.NewScanner(o.text[o.safe:]); s.Next(); {
		n++
	}
	return n
}

// stop cuts the text before the first stop text that has come to stand in it.
func (o *output) stop(before int) {
	cut := -1
	for _, s := range o.stops {
		from := max(0, before-len(s)+1)
		if at := bytes.Index(o.text[from:], []byte(s)); at >= 0 && (cut < 0 || from+at < cut) {
			cut = from + at
		}
	}
	if cut >= 0 {
		o.text, o.finish = o.text[:max(cut, o.sent)], openai.FinishStop
	}
}

// count counts on from the last white space, and cuts the text before the first token beyond the limit. What comes later
// changes no token that is complete, and makes the last one at most longer. A token that begins in the withheld bytes at
// the end is not judged yet: it may be a stop text's.
func (o *output) count(withheld int) {
	n, safe := o.counted, max(o.safe, bytes.LastIndexAny(o.text, " \n"))
	before := n // tokens before safe
	for s := text1.NewScanner(o.text[o.safe:]); s.Next(); {
		start, _ := s.Range()
		at := o.safe + start
		if n == o.limit {
			if at >= len(o.text)-withheld {
				return
			}
			o.text, o.finish = o.text[:max(at, o.sent)], openai.FinishLength
			return
		}
		if n++; at < safe {
			before = n
		}
	}
	o.counted, o.safe = before, safe
}

// withheld is how many bytes at the end may be the beginning of a stop text.
func (o *output) withheld() int {
	if o.finish != "" {
		return 0
	}
	most := 0
	for _, s := range o.stops {
		for n := min(len(s)-1, len(o.text)-o.sent); n > most; n-- {
			if string(o.text[len(o.text)-n:]) == s[:n] {
				most = n
				break
			}
		}
	}
	return most
}

// pass passes on what is not withheld. A stop text may begin within a rune's bytes only if it is no UTF-8, so what is
// passed on is whole.
func (o *output) pass(withheld int) error {
	until := len(o.text) - withheld
	if o.emit == nil || until <= o.sent {
		return nil
	}
	part := string(o.text[o.sent:until])
	o.sent = until
	return o.emit(part)
}
