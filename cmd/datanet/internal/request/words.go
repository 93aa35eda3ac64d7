package request

import (
	"reflect"
	"strings"

	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/licence"
)

// known are the words that a value may be, by its type, for the help.
var known = map[reflect.Type]string{
	reflect.TypeFor[licence.Purpose]():  words(licence.Purposes...),
	reflect.TypeFor[datanet.Modality](): words(datanet.Text, datanet.Code, datanet.Tabular, datanet.Mixed),
	reflect.TypeFor[datanet.Rest]():     "who gets what no receipt names: " + words(datanet.ByTokens, datanet.ByContributions, datanet.Equal),
}

func words[T ~string](list ...T) string {
	texts := make([]string, len(list))
	for i, word := range list {
		texts[i] = string(word)
	}
	return strings.Join(texts, ", ")
}
