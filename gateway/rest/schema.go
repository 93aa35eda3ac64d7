package rest

import (
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// newRegistry makes the one place where Go types become schemas of the API document.
func newRegistry() huma.Registry {
	r := huma.NewMapRegistry("#/components/schemas/", schemaName)
	r.RegisterTypeAlias(reflect.TypeFor[jsontext.Value](), reflect.TypeFor[anyObject]())
	r.RegisterTypeAlias(reflect.TypeFor[ledger.Account](), reflect.TypeFor[accountName]())
	r.RegisterTypeAlias(reflect.TypeFor[ledger.Role](), reflect.TypeFor[roleName]())
	r.RegisterTypeAlias(reflect.TypeFor[money.Amount](), reflect.TypeFor[amountText]())
	r.RegisterTypeAlias(reflect.TypeFor[time.Time](), reflect.TypeFor[instant]())
	return r
}

type anyObject struct{}

func (anyObject) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeObject} }

type accountName string

func (accountName) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Description: "An account, MSPID:enrollmentID.", Examples: []any{"PoetrySocietyMSP:contributor1"}}
}

type roleName string

func (roleName) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, role := range ledger.Roles {
		s.Enum = append(s.Enum, string(role))
	}
	return s
}

type amountText string

func (amountText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Pattern: `^(0|[1-9][0-9]{0,18})$`, Description: "Micro-credits, 10⁻⁶ credit.", Examples: []any{"1500000"}}
}

type instant string

func (instant) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
}

// schemaName names a type by its package, since several domains have a Named or a Listing: TokenTransfer, PageOfTokenCredit.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := t.Name()
	if name == "" {
		return hint
	}
	if base, argument, generic := strings.Cut(name, "["); generic {
		argument = strings.TrimSuffix(argument, "]")
		domain, item, found := strings.Cut(path.Base(argument), ".")
		if !found {
			domain, item = "", domain
		}
		return base + "Of" + capital(domain) + item
	}
	domain := path.Base(t.PkgPath())
	if domain == "rest" || domain == "ledger" || domain == "." {
		return capital(name)
	}
	return capital(domain) + capital(name)
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
