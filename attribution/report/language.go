package report

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/datanet-consortium/datanet/attribution/text1"
)

// A Language is a guess at the language of some records, by ISO 639, "und" where there is none.
type Language struct {
	Language string `json:"language"`
	Records  int    `json:"records"`
	PPM      int64  `json:"ppm"` // of the contribution's tokens, those in these records
}

// A Script is how many letters of a script the contribution has.
type Script struct {
	Script  string `json:"script"`
	Letters int64  `json:"letters"`
	PPM     int64  `json:"ppm"`
}

// functionWords are frequent words that tell a language from others in the same script.
var functionWords = map[string]string{
	"en": "the of and to in is that was for with as his by not which from this be are have had they you were their would there been",
	"de": "der die das und ist nicht ein eine mit von den dem zu auf für sich als auch ich wie bei aus nach wird werden sind wenn noch",
	"fr": "le la les des et est une dans que qui pour pas sur au avec ce il elle plus par sont nous vous mais comme aux cette ses",
	"es": "el los las del que en una por con para no se su es como más pero sus este cuando muy sin sobre también fue hay desde",
	"pt": "os as do da em um uma que não para com por mais como mas dos das ao pelo foi são ele ela seu sua também quando isso",
	"it": "il lo gli di che non una per con del della sono dei delle nel anche come più ma si alla questo ha suo sua essere dal",
	"nl": "de het een van en in is dat niet op te zijn met voor er aan ook als maar om hij door naar bij uit nog wordt deze",
	"pl": "i w na z do się nie to jest że jak o za od po przez ale dla co czy tym był są jego oraz może tylko już",
	"sv": "och att det som en är på för av med den till inte ett om har de jag var men sig från så kan när vi skulle",
	"tr": "ve bir bu da de için ile ne gibi çok o daha ama en kadar olan olarak ben sen değil var mı ya her ki sonra",
	"vi": "và của là có không cho được với trong một những các người này đã để khi từ như đến về thì còn cũng",
	"id": "yang dan di ini itu dengan untuk tidak dari dalam akan pada juga saya ke karena ada mereka sudah atau oleh bisa",
	"ru": "и в не на что с он я как это по но они из у за от же все так было для был его бы мы она вы",
	"uk": "і в не на що з він я як це та але вони із у за від ж все так було для був його ми вона ви є",
	"bg": "и на да се в за не от че е са с по като но си ще те към това има при бе или ли ни този",
	"fa": "و از به که را در این با است آن بر تا می هر چو ز من تو او ای بود برای شد چون اگر خود نیست ما یک های",
	"ar": "في من على أن إلى عن التي الذي هذا هذه ما لا كان كل قد ذلك بين هو هي إن لم ثم أو بعد عند كما",
	"ur": "کے کی میں ہے اور سے کا کو نے پر ہیں کہ بھی یہ تھا اس نہیں ایک تو جو ہو گیا کر وہ ہم",
	"hi": "के की में है और से का को ने पर हैं कि भी यह था इस नहीं एक तो जो हो गया कर वह हम",
	"el": "και το να του η της με που την για είναι από θα στο δεν ο οι των στην αν μου τα αλλά",
	"he": "של את על לא הוא זה כי גם עם היא אני מה אם אל כל יש או היה אבל רק הם כמו",
}

// ownScript are languages that their script tells.
var ownScript = map[string]string{"Hangul": "ko", "Thai": "th", "Hiragana": "ja", "Katakana": "ja", "Han": "zh", "Bengali": "bn",
	"Tamil": "ta", "Telugu": "te", "Georgian": "ka", "Armenian": "hy", "Khmer": "km", "Burmese": "my", "Ethiopic": "am"}

// languagesOf lists the languages that have a word, by canonical token.
var languagesOf = sync.OnceValue(func() map[string][]string {
	words := make(map[string][]string)
	for _, language := range slices.Sorted(maps.Keys(functionWords)) {
		seen := make(map[string]bool)
		for word := range strings.FieldsSeq(functionWords[language]) {
			for _, t := range text1.Tokens([]byte(word)) {
				if !seen[t.Text] {
					seen[t.Text] = true
					words[t.Text] = append(words[t.Text], language)
				}
			}
		}
	}
	return words
})

// minWords is the part of the tokens that must be a language's function words, in ppm.
const minWords = 60_000

// counter collects languages and scripts.
type counter struct {
	records map[string]int
	tokens  map[string]int64
	letters map[string]int64
}

func (c *counter) record(text []byte) {
	if c.records == nil {
		c.records, c.tokens, c.letters = make(map[string]int), make(map[string]int64), make(map[string]int64)
	}
	letters := make(map[string]int64)
	for rest := text; len(rest) > 0; {
		r, width := utf8.DecodeRune(rest)
		rest = rest[width:]
		if script := scriptOf(r); script != "" {
			letters[script]++
		}
	}
	tokens := int64(0)
	hits := make(map[string]int64)
	words := languagesOf()
	for s := text1.NewScanner(text); s.Next(); {
		tokens++
		for _, language := range words[string(s.Runes())] {
			hits[language]++
		}
	}
	language := guess(hits, letters, tokens)
	c.records[language]++
	c.tokens[language] += tokens
	for script, n := range letters {
		c.letters[script] += n
	}
}

func guess(hits, letters map[string]int64, tokens int64) string {
	all := int64(0)
	for _, n := range letters {
		all += n
	}
	// Japanese mixes three scripts; Han alone is Chinese.
	if kana := letters["Hiragana"] + letters["Katakana"]; ppm(kana, all) >= 100_000 {
		return "ja"
	}
	for _, script := range slices.Sorted(maps.Keys(letters)) {
		if language, own := ownScript[script]; own && ppm(letters[script], all) >= 500_000 {
			return language
		}
	}
	best, most := "und", int64(0)
	for _, language := range slices.Sorted(maps.Keys(hits)) {
		if hits[language] > most {
			best, most = language, hits[language]
		}
	}
	if ppm(most, tokens) < minWords {
		return "und"
	}
	return best
}

func (c *counter) languages() []Language {
	all := int64(0)
	for _, n := range c.tokens {
		all += n
	}
	list := []Language{}
	for _, language := range slices.Sorted(maps.Keys(c.records)) {
		list = append(list, Language{language, c.records[language], ppm(c.tokens[language], all)})
	}
	slices.SortStableFunc(list, func(a, b Language) int { return cmp.Compare(b.PPM, a.PPM) })
	return list
}

func (c *counter) scripts() []Script {
	all := int64(0)
	for _, n := range c.letters {
		all += n
	}
	list := []Script{}
	for _, script := range slices.Sorted(maps.Keys(c.letters)) {
		list = append(list, Script{script, c.letters[script], ppm(c.letters[script], all)})
	}
	slices.SortStableFunc(list, func(a, b Script) int { return cmp.Compare(b.Letters, a.Letters) })
	return list
}

// scripts are blocks of letters, coarse on purpose and fixed, since tables of a Go release change.
var scripts = []struct {
	first, last rune
	name        string
}{
	{'A', 'Z', "Latin"}, {'a', 'z', "Latin"}, {0xc0, 0x24f, "Latin"}, {0x370, 0x3ff, "Greek"}, {0x400, 0x52f, "Cyrillic"},
	{0x531, 0x58f, "Armenian"}, {0x5d0, 0x5f2, "Hebrew"}, {0x620, 0x64a, "Arabic"}, {0x66e, 0x6d3, "Arabic"}, {0x6ee, 0x6ef, "Arabic"},
	{0x6fa, 0x6ff, "Arabic"}, {0x750, 0x77f, "Arabic"}, {0x8a0, 0x8ff, "Arabic"}, {0x904, 0x965, "Devanagari"}, {0x980, 0x9ff, "Bengali"},
	{0xb80, 0xbff, "Tamil"}, {0xc00, 0xc7f, "Telugu"}, {0xe01, 0xe4e, "Thai"}, {0x1000, 0x109f, "Burmese"}, {0x10a0, 0x10ff, "Georgian"},
	{0x1100, 0x11ff, "Hangul"}, {0x1200, 0x139f, "Ethiopic"}, {0x1780, 0x17ff, "Khmer"}, {0x1e00, 0x1eff, "Latin"}, {0x1f00, 0x1fff, "Greek"},
	{0x3041, 0x309f, "Hiragana"}, {0x30a1, 0x30ff, "Katakana"}, {0x3400, 0x4dbf, "Han"}, {0x4e00, 0x9fff, "Han"}, {0xac00, 0xd7a3, "Hangul"},
	{0xf900, 0xfaff, "Han"}, {0xfb50, 0xfdff, "Arabic"}, {0xfe70, 0xfefc, "Arabic"}, {0x20000, 0x3ffff, "Han"},
}

// scriptOf returns the script of a letter, "" of what is none.
func scriptOf(r rune) string {
	if r == 0xd7 || r == 0xf7 {
		return ""
	}
	i, found := slices.BinarySearchFunc(scripts, r, func(s struct {
		first, last rune
		name        string
	}, r rune) int {
		switch {
		case s.last < r:
			return -1
		case s.first > r:
			return 1
		}
		return 0
	})
	if !found {
		return ""
	}
	return scripts[i].name
}
