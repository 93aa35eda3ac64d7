package report

import "unicode/utf8"

// Characters counts what is unusual in a text and may come from a bad conversion, or be there to deceive: text
// that reads like other text to people, and not to a program.
type Characters struct {
	Control     int64 `json:"control"`     // control characters but line ends and tabs
	Replacement int64 `json:"replacement"` // U+FFFD and bytes that are no UTF-8: lost in a conversion
	PrivateUse  int64 `json:"private_use"`
	Zero        int64 `json:"zero_width"`   // invisible: zero-width space and no-break space, word joiner, soft hyphen
	Directional int64 `json:"directional"`  // marks that turn the direction of text
	Tags        int64 `json:"tags"`         // invisible tag characters and variation selectors of the supplement
	Mixed       int64 `json:"mixed_script"` // words that mix Latin, Greek and Cyrillic letters
	Long        int64 `json:"long_words"`   // words of more than 40 letters without a break
	Decorated   int64 `json:"decorated"`    // letters of mathematics, circles and the like, which stand for plain ones
}

func (c *Characters) add(text []byte) {
	var word struct {
		letters int
		scripts [3]bool // Latin, Greek, Cyrillic
	}
	end := func() {
		if n := b2i(word.scripts[0]) + b2i(word.scripts[1]) + b2i(word.scripts[2]); n > 1 {
			c.Mixed++
		}
		if word.letters > 40 {
			c.Long++
		}
		word.letters, word.scripts = 0, [3]bool{}
	}
	for len(text) > 0 {
		r, width := utf8.DecodeRune(text)
		text = text[width:]
		switch script := scriptOf(r); script {
		case "":
			end()
		case "Han", "Hiragana", "Katakana", "Thai":
			end()
		default:
			word.letters++
			for i, name := range []string{"Latin", "Greek", "Cyrillic"} {
				word.scripts[i] = word.scripts[i] || script == name
			}
		}
		switch {
		case r == '\n' || r == '\r' || r == '\t':
		case r < 0x20 || 0x7f <= r && r < 0xa0:
			c.Control++
		case r == utf8.RuneError:
			c.Replacement++
		case 0xe000 <= r && r <= 0xf8ff || r >= 0xf0000:
			c.PrivateUse++
		case r == 0x200b || r == 0x2060 || r == 0xfeff || r == 0xad:
			c.Zero++
		case 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 || r == 0x200e || r == 0x200f || r == 0x61c:
			c.Directional++
		case 0xe0000 <= r && r <= 0xe01ef:
			c.Tags++
		case 0x1d400 <= r && r <= 0x1d7ff || 0x24b6 <= r && r <= 0x24e9 || 0x1f130 <= r && r <= 0x1f189:
			c.Decorated++
		}
	}
	end()
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
