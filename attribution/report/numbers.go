package report

import "unicode/utf8"

// A number is a run of digits as people group them.
type number struct {
	digits []int
	groups []int // how many digits stand together
	marks  []byte
	plus   bool
	paren  bool // the first group stands in parentheses
	end    int
}

// maxDigits is more than any form has.
const maxDigits = 24

// readNumber reads a number at a position: digits in groups with a space, hyphen, dot or slash between them.
func readNumber(text []byte, at int) (n number, ok bool) {
	if text[at] == '+' {
		n.plus = true
		at++
	}
	if at < len(text) && text[at] == '(' {
		n.paren = true
		at++
	}
	group := 0
	for at < len(text) {
		if d := digitAt(text, at); d >= 0 {
			_, width := utf8.DecodeRune(text[at:])
			n.digits = append(n.digits, d)
			group++
			at += width
			if len(n.digits) > maxDigits {
				return n, false
			}
			n.end = at
			continue
		}
		next := at
		if n.paren && len(n.groups) == 0 && text[next] == ')' {
			next++
		}
		mark := byte(0)
		if next < len(text) {
			switch text[next] {
			case ' ', '-', '.', '/':
				mark = text[next]
				next++
			}
		}
		if next == at || group == 0 || digitAt(text, next) < 0 {
			break
		}
		n.groups, n.marks = append(n.groups, group), append(n.marks, mark)
		group = 0
		at = next
	}
	n.groups = append(n.groups, group)
	return n, len(n.digits) > 0 && group > 0
}

// only tells whether no marks but one stand between the groups.
func (n *number) only(mark byte) bool {
	for _, m := range n.marks {
		if m != mark {
			return false
		}
	}
	return true
}

func (n *number) grouped(groups ...int) bool {
	if len(n.groups) != len(groups) {
		return false
	}
	for i := range groups {
		if n.groups[i] != groups[i] {
			return false
		}
	}
	return true
}

func (n *number) same() bool {
	for _, d := range n.digits {
		if d != n.digits[0] {
			return false
		}
	}
	return true
}

// numbered returns the form of data that a number at a position has, if it has one.
func numbered(text []byte, at int) Finding {
	n, ok := readNumber(text, at)
	if !ok || n.same() {
		return Finding{}
	}
	found := Finding{Start: at, End: n.end}
	// A Spanish or Chinese number ends with a letter.
	if kind, end := n.endsWithLetter(text); kind != "" && !wordAt(text, end) {
		found.Kind, found.End = kind, end
		return found
	}
	if wordAt(text, n.end) {
		return Finding{}
	}
	found.Kind = n.kind()
	return found
}

func (n *number) kind() Kind {
	whole := len(n.groups) == 1
	switch {
	case n.plus || n.paren:
	case n.isCard():
		return Card
	case n.isChinese():
		return NationalCN
	case n.isFrench():
		return NationalFR
	case len(n.digits) == 12 && n.grouped(4, 4, 4) && (n.only(' ') || n.only('-')) && n.digits[0] >= 2 && verhoeff(n.digits):
		return NationalIN
	case len(n.digits) == 11 && (n.grouped(3, 3, 3, 2) && string(n.marks) == "..-" || whole) && isCPF(n.digits):
		return NationalBR
	case n.grouped(3, 2, 4) && n.only('-') && isSSN(n.digits):
		return NationalUS
	case len(n.digits) == 10 && (whole || n.grouped(3, 6, 1) && n.only('-')) && isIranian(n.digits):
		return NationalIR
	}
	if n.isTelephone() {
		return Telephone
	}
	return ""
}

// isCard tells whether a number has the form of a payment card's: 13 to 19 digits in one or the usual groups, a
// first digit that is issued, and a right check digit (Luhn).
func (n *number) isCard() bool {
	count := len(n.digits)
	if count < 13 || count > 19 || n.digits[0] < 2 || n.digits[0] > 6 || !(n.only(' ') || n.only('-')) {
		return false
	}
	if len(n.groups) > 1 && !n.grouped(4, 4, 4, 4) && !n.grouped(4, 6, 5) && !n.grouped(4, 4, 4, 4, 3) {
		return false
	}
	sum := 0
	for i, d := range n.digits {
		if (count-i)%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

func (n *number) isTelephone() bool {
	count := len(n.digits)
	dots := false
	for _, mark := range n.marks {
		dots = dots || mark == '.'
	}
	switch {
	case n.plus:
		return count >= 8 && count <= 15
	case n.paren:
		return count >= 7 && count <= 13 && n.groups[0] >= 2 && n.groups[0] <= 5 && len(n.groups) > 1
	case n.digits[0] == 0 && n.digits[1%count] == 0:
		return count >= 11 && count <= 17 && !dots
	case n.digits[0] == 0:
		return count >= 10 && count <= 11 && (!dots || len(n.groups) >= 4)
	}
	return n.grouped(3, 3, 4) && (n.only('-') || n.only('.')) && n.digits[0] >= 2
}

// isIranian checks the last of ten digits.
func isIranian(digits []int) bool {
	sum := 0
	for i, d := range digits[:9] {
		sum += d * (10 - i)
	}
	check := sum % 11
	if check >= 2 {
		check = 11 - check
	}
	return check == digits[9]
}

// isSSN leaves out what was never issued.
func isSSN(digits []int) bool {
	area, group, serial := value(digits[:3]), value(digits[3:5]), value(digits[5:])
	return area != 0 && area != 666 && area < 900 && group != 0 && serial != 0
}

func value(digits []int) int {
	v := 0
	for _, d := range digits {
		v = 10*v + d
	}
	return v
}

func isCPF(digits []int) bool {
	for n := 9; n <= 10; n++ {
		sum := 0
		for i, d := range digits[:n] {
			sum += d * (n + 1 - i)
		}
		if sum*10%11%10 != digits[n] {
			return false
		}
	}
	return true
}

// isFrench checks sex, month and key.
func (n *number) isFrench() bool {
	if len(n.digits) != 15 || len(n.groups) > 1 && !n.grouped(1, 2, 2, 2, 3, 3, 2) || !n.only(' ') {
		return false
	}
	month := value(n.digits[3:5])
	if n.digits[0] < 1 || n.digits[0] > 2 || month < 1 || month > 12 {
		return false
	}
	rest := 0
	for _, d := range n.digits[:13] {
		rest = (rest*10 + d) % 97
	}
	return 97-rest == value(n.digits[13:])
}

func (n *number) isChinese() bool {
	return len(n.digits) == 18 && len(n.groups) == 1 && chinese(n.digits[:17], n.digits[17])
}

// chinese checks the date in the first 17 digits, and the last, which is 10 for X.
func chinese(digits []int, check int) bool {
	year, month, day := value(digits[6:10]), value(digits[10:12]), value(digits[12:14])
	if year < 1900 || year > 2099 || month < 1 || month > 12 || day < 1 || day > 31 {
		return false
	}
	sum, weight := 0, 1
	for i := 16; i >= 0; i-- {
		weight = weight * 2 % 11
		sum += digits[i] * weight
	}
	return (sum+check)%11 == 1
}

// endsWithLetter finds the numbers of Spain and China that end with a letter.
func (n *number) endsWithLetter(text []byte) (kind Kind, end int) {
	if n.plus || n.paren || len(n.groups) != 1 {
		return "", 0
	}
	end = n.end
	if len(n.digits) == 8 && end < len(text) && text[end] == '-' {
		end++
	}
	if end >= len(text) || !isLetter(rune(text[end])) {
		return "", 0
	}
	letter := text[end] &^ 0x20
	switch {
	case len(n.digits) == 17 && letter == 'X' && chinese(n.digits, 10):
		return NationalCN, end + 1
	case len(n.digits) == 8 && spanishLetters[value(n.digits)%23] == letter:
		return NationalES, end + 1
	}
	return "", 0
}

const spanishLetters = "TRWAGMYFPDXBNJZSQVHLCKE"

// verhoeff checks the last digit by the dihedral group of order ten.
func verhoeff(digits []int) bool {
	permutation := [10]int{1, 5, 7, 6, 2, 8, 3, 0, 9, 4}
	check := 0
	for i := range digits {
		d := digits[len(digits)-1-i]
		for range i % 8 {
			d = permutation[d]
		}
		check = dihedral(check, d)
	}
	return check == 0
}

func dihedral(a, b int) int {
	switch {
	case a < 5 && b < 5:
		return (a + b) % 5
	case a < 5:
		return 5 + (a+b-5)%5
	case b < 5:
		return 5 + (a-5-b+5)%5
	}
	return (a - b + 5) % 5
}

// ibanLengths are the countries that have international account numbers, and the numbers' lengths.
var ibanLengths = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28, "CH": 21, "CR": 22,
	"CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22,
	"GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IR": 26, "IS": 26, "IT": 27, "JO": 30,
	"KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
	"MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24,
	"SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22,
	"VG": 24, "XK": 20,
}

// lettered returns the form of data that begins with capital letters at a position, if there is one.
func lettered(text []byte, at int) Finding {
	if end := iban(text, at); end > 0 {
		return Finding{Kind: IBAN, Start: at, End: end}
	}
	if end := insurance(text, at); end > 0 {
		return Finding{Kind: NationalGB, Start: at, End: end}
	}
	if end := nie(text, at); end > 0 {
		return Finding{Kind: NationalES, Start: at, End: end}
	}
	return Finding{}
}

// iban returns where an account number with right check digits ends, 0 when there is none. A space may stand
// after every fourth character.
func iban(text []byte, at int) int {
	if at+2 > len(text) || !isUpper(rune(text[at+1])) {
		return 0
	}
	length := ibanLengths[string(text[at:at+2])]
	characters := make([]byte, 0, 34)
	for ; at < len(text) && len(characters) < length; at++ {
		b := text[at]
		switch {
		case isUpper(rune(b)) || '0' <= b && b <= '9':
			characters = append(characters, b)
		case b == ' ' && len(characters) > 0 && len(characters)%4 == 0 && text[at-1] != ' ':
		default:
			return 0
		}
	}
	if length == 0 || len(characters) < length || wordAt(text, at) {
		return 0
	}
	rest := 0
	for i := range characters {
		b := characters[(i+4)%length]
		if '0' <= b && b <= '9' {
			rest = (rest*10 + int(b-'0')) % 97
		} else {
			rest = (rest*100 + int(b-'A') + 10) % 97
		}
	}
	if rest != 1 {
		return 0
	}
	return at
}

// insurance returns where a British National Insurance number ends, 0 when there is none: two letters, six digits,
// perhaps in pairs, and one letter from A to D.
func insurance(text []byte, at int) int {
	if at+2 > len(text) || !isUpper(rune(text[at+1])) || stands(text[at], "DFIQUV") || stands(text[at+1], "DFIOQUV") {
		return 0
	}
	at += 2
	for i := range 7 {
		if at < len(text) && text[at] == ' ' && i%2 == 0 {
			at++
		}
		if at >= len(text) || i < 6 && (text[at] < '0' || text[at] > '9') || i == 6 && (text[at] < 'A' || text[at] > 'D') {
			return 0
		}
		at++
	}
	if wordAt(text, at) {
		return 0
	}
	return at
}

// nie returns where a Spanish number of a foreigner ends, 0 when there is none: X, Y or Z, seven digits and a letter.
func nie(text []byte, at int) int {
	first := text[at]
	if first < 'X' || first > 'Z' {
		return 0
	}
	v := int(first - 'X')
	at++
	if at < len(text) && text[at] == '-' {
		at++
	}
	for range 7 {
		if at >= len(text) || text[at] < '0' || text[at] > '9' {
			return 0
		}
		v = 10*v + int(text[at]-'0')
		at++
	}
	if at < len(text) && text[at] == '-' {
		at++
	}
	if at >= len(text) || text[at] != spanishLetters[v%23] || wordAt(text, at+1) {
		return 0
	}
	return at + 1
}

func stands(b byte, in string) bool {
	for i := range len(in) {
		if in[i] == b {
			return true
		}
	}
	return false
}
