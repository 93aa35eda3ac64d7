package ledger

import (
	"regexp"
	"strings"
)

// Account names who owns credits: "MSPID:enrollmentID", so that it survives a renewed certificate. At most 256 bytes.
// A pool's account is "pool:" and the name of its datanet; no certificate can carry it, since an MSP ID is never "pool".
type Account string

// MaxAccount bounds an account name, in bytes.
const MaxAccount = 256

const poolPrefix = "pool:"

var (
	mspPattern       = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9.-]{0,63}$`)
	enrolmentPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$`)
)

// NewAccount is the account of an enrolment in an organisation. It does not validate; see [Account.Validate].
func NewAccount(msp, enrolment string) Account { return Account(msp + ":" + enrolment) }

// PoolAccount is the account of a datanet's pool.
func PoolAccount(datanet string) Account { return Account(poolPrefix + datanet) }

// IsPool tells whether the account is a datanet's pool.
func (a Account) IsPool() bool { return strings.HasPrefix(string(a), poolPrefix) }

// MSP is the organisation of a person's account, "" for a pool or a malformed name.
func (a Account) MSP() string {
	msp, _, ok := strings.Cut(string(a), ":")
	if !ok || a.IsPool() {
		return ""
	}
	return msp
}

// Validate reports a malformed name of a person's account; a pool's account is refused, since nobody acts as a pool.
func (a Account) Validate(field string) error {
	msp, enrolment, ok := strings.Cut(string(a), ":")
	if !ok || a.IsPool() || ValidMSP(msp) != nil || !enrolmentPattern.MatchString(enrolment) {
		return Invalid(field, "%q is not an account: expected MSPID:enrollmentID", Clip(string(a)))
	}
	return nil
}

// ValidMSP reports a malformed MSP ID: a letter, then up to 63 letters, digits, dots or hyphens, and not "pool".
func ValidMSP(msp string) error {
	if !mspPattern.MatchString(msp) || msp == "pool" {
		return Refuse(CodeInvalid, "%q is not an MSP ID", Clip(msp))
	}
	return nil
}

// Clip bounds what a fault quotes of a request.
func Clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Pool is the name of the datanet whose pool the account is, "" for a person's account.
func (a Account) Pool() string {
	if !a.IsPool() {
		return ""
	}
	return string(a[len(poolPrefix):])
}
