package attribution

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// MaxName is the largest length of an account and of a contribution's id, in bytes.
const MaxName = 256

// PoolPrefix begins the payee name of a datanet's pool. No account begins with it.
const PoolPrefix = "pool:"

// CheckName reports whether a name may stand as id or account in a receipt: UTF-8 without NUL, 1 to
// MaxName bytes. The error continues a sentence that begins with the name.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("is empty")
	case len(name) > MaxName:
		return errors.New("is longer than 256 bytes")
	case !utf8.ValidString(name):
		return errors.New("is not UTF-8")
	case strings.ContainsRune(name, 0):
		return errors.New("contains a NUL")
	}
	return nil
}

// CheckAccount reports whether an account may register a contribution or be paid: a name that is not a
// pool's. The error continues a sentence that begins with the account.
func CheckAccount(account string) error {
	if err := CheckName(account); err != nil {
		return err
	}
	if strings.HasPrefix(account, PoolPrefix) {
		return errors.New("begins with pool:, which only the pools of datanets do")
	}
	return nil
}
