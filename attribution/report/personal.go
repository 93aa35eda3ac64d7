package report

import "unicode/utf8"

// Personal is where the contribution seems to hold personal data. It finds forms, not persons: a number that has
// the form of a card's and passes its check is reported whatever it is.
type Personal struct {
	Count []Count   `json:"count"`
	Found []Finding `json:"found"`
}

// Count is how often a form was found.
type Count struct {
	Kind  Kind `json:"kind"`
	Times int  `json:"times"`
}

// A Finding is the position of a form in a record, in bytes.
type Finding struct {
	Kind   Kind `json:"kind"`
	Record int  `json:"record"`
	Start  int  `json:"start"`
	End    int  `json:"end"`
}

// A Kind is a form of personal data.
type Kind string

// The forms, in the order in which a report counts them.
const (
	Email      Kind = "email"
	IBAN       Kind = "iban"        // with its check digits right, modulo 97
	Card       Kind = "card"        // 13 to 19 digits whose Luhn check is right
	NationalIR Kind = "national_ir" // Iran: 10 digits with their check digit
	NationalUS Kind = "national_us" // social security number, with hyphens
	NationalIN Kind = "national_in" // Aadhaar, in groups of four, with its check digit
	NationalBR Kind = "national_br" // CPF, with its check digits
	NationalCN Kind = "national_cn" // resident identity number, with date and check digit
	NationalFR Kind = "national_fr" // NIR, with its key
	NationalES Kind = "national_es" // DNI and NIE, with their letter
	NationalGB Kind = "national_gb" // National Insurance number
	Telephone  Kind = "telephone"   // with +, 00 or 0 in front, or in groups as in North America
)

var kinds = []Kind{Email, IBAN, Card, NationalIR, NationalUS, NationalIN, NationalBR, NationalCN, NationalFR, NationalES, NationalGB, Telephone}

// finder collects Personal.
type finder struct{ Personal }

func (f *finder) record(number int, text []byte) {
	if f.Count == nil {
		f.Found = []Finding{}
		for _, kind := range kinds {
			f.Count = append(f.Count, Count{Kind: kind})
		}
	}
	for _, found := range findPersonal(text) {
		found.Record = number
		for i := range f.Count {
			if f.Count[i].Kind == found.Kind {
				f.Count[i].Times++
			}
		}
		if len(f.Found) < MaxFindings {
			f.Found = append(f.Found, found)
		}
	}
}

// findPersonal goes once over a text from word to word. Where a form begins it goes on behind it.
func findPersonal(text []byte) []Finding {
	var all []Finding
	done := 0 // what is before belongs to an earlier finding
	at := 0
	for at < len(text) {
		r, width := utf8.DecodeRune(text[at:])
		var found Finding
		switch {
		case r == '@':
			found = email(text, at, done)
		case isUpper(r) && !wordBefore(text, at):
			found = lettered(text, at)
		case digitOf(r) >= 0 || (r == '+' || r == '(') && digitAt(text, at+1) >= 0:
			if !wordBefore(text, at) {
				found = numbered(text, at)
			}
			if found.Kind == "" {
				// What begins inside of a number is none.
				at = endOfDigits(text, at+width)
				continue
			}
		}
		if found.Kind != "" {
			all = append(all, found)
			done = found.End
			at = found.End
			continue
		}
		at += width
	}
	return all
}

func isUpper(r rune) bool { return 'A' <= r && r <= 'Z' }
func isLetter(r rune) bool {
	return isUpper(r) || 'a' <= r && r <= 'z'
}

// wordBefore tells whether a letter or digit stands right before a position.
func wordBefore(text []byte, at int) bool {
	if at == 0 {
		return false
	}
	r, _ := utf8.DecodeLastRune(text[:at])
	return scriptOf(r) != "" || digitOf(r) >= 0 || r == '_'
}

// wordAt tells whether a letter or digit stands at a position.
func wordAt(text []byte, at int) bool {
	if at >= len(text) {
		return false
	}
	r, _ := utf8.DecodeRune(text[at:])
	return scriptOf(r) != "" || digitOf(r) >= 0 || r == '_'
}

// digitOf returns the value of a digit of the scripts that people write such numbers in, -1 of no digit.
func digitOf(r rune) int {
	for _, zero := range [...]rune{'0', 0x660, 0x6f0, 0x966, 0x9e6, 0xff10} {
		if zero <= r && r <= zero+9 {
			return int(r - zero)
		}
	}
	return -1
}

func digitAt(text []byte, at int) int {
	if at >= len(text) {
		return -1
	}
	r, _ := utf8.DecodeRune(text[at:])
	return digitOf(r)
}

func endOfDigits(text []byte, at int) int {
	for digitAt(text, at) >= 0 {
		_, width := utf8.DecodeRune(text[at:])
		at += width
	}
	return at
}

// email returns an address around an @, no part of it before from.
func email(text []byte, at, from int) Finding {
	start := at
	for start > from && at-start < 64 && isLocal(text[start-1]) {
		start--
	}
	for start < at && text[start] == '.' {
		start++
	}
	end, label, dots, last := at+1, 0, 0, 0
	letters := false // whether the last label is of letters only
	for end < len(text) && end-at < 255 {
		b := text[end]
		switch {
		case isLetter(rune(b)) || '0' <= b && b <= '9' || b == '-' && label > 0:
			if label == 0 {
				letters = true
			}
			letters = letters && isLetter(rune(b))
			label++
			if dots > 0 && letters && label >= 2 {
				last = end + 1
			}
			end++
			continue
		case b == '.' && label > 0:
			dots++
			label = 0
			end++
			continue
		}
		break
	}
	if start == at || last == 0 || text[at-1] == '.' {
		return Finding{}
	}
	return Finding{Kind: Email, Start: start, End: last}
}

func isLocal(b byte) bool {
	switch b {
	case '.', '_', '%', '+', '-', '\'':
		return true
	}
	return isLetter(rune(b)) || '0' <= b && b <= '9'
}
