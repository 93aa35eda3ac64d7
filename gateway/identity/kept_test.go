package identity_test

import (
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

// enrolled is a trainer whose key the gateway keeps, with an API key.
func (w *world) enrolled(t *testing.T) (who identity.Principal, made identity.Enrolment) {
	made, err := w.ids.Enrol(t.Context(), identity.EnrolRequest{Code: w.invite(t, ledger.Trainer), Custody: true})
	require.NoError(t, err)
	who, err = w.bearer(t, made.Token)
	require.NoError(t, err)
	return who, made
}

func certificate(t *testing.T, text []byte) *x509.Certificate {
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return cert
}

func TestTheCertificateOfAKeptKeyIsRenewed(t *testing.T) {
	w := open(t)
	who, made := w.enrolled(t)
	before := certificate(t, []byte(made.Certificate))
	again, err := w.ids.Renew(t.Context(), who, "")
	require.NoError(t, err)
	require.Equal(t, made.Account, again.Account)
	require.Equal(t, made.Roles, again.Roles)
	kept, _, err := w.shelf.Certificate(who.Enrolment())
	require.NoError(t, err)
	require.Equal(t, again.Certificate, string(kept))
	after := certificate(t, kept)
	require.Equal(t, before.PublicKey, after.PublicKey)
	require.NotEqual(t, before.SerialNumber, after.SerialNumber)
	same, err := w.bearer(t, made.Token)
	require.NoError(t, err)
	require.Equal(t, who, same)
}

func TestWhatCertificatesAreNotRenewed(t *testing.T) {
	w := open(t)
	who, _ := w.enrolled(t)
	refused := func(p identity.Principal) identity.Code {
		t.Helper()
		_, err := w.ids.Renew(t.Context(), p, "")
		return code(t, err)
	}
	narrow := who
	narrow.Scopes = []identity.Scope{identity.Read}
	require.Equal(t, identity.CodeForbidden, refused(narrow))
	unknown := who
	unknown.Account = ledger.NewAccount(own, "trainer1")
	require.Equal(t, identity.CodeNotFound, refused(unknown), "its key is not kept here")
	elsewhere := who
	elsewhere.Account = ledger.NewAccount(other, who.Enrolment())
	require.Equal(t, identity.CodeForbidden, refused(elsewhere))
	require.Equal(t, identity.CodeInvalid, refused(w.trainer(t)), "who shows a certificate sends a request")

	foreign, err := w.other.User("trainer1")
	require.NoError(t, err)
	require.NoError(t, w.shelf.Renew(who.Enrolment(), foreign.Credentials()))
	require.Equal(t, identity.CodeState, refused(who), "of another authority")
}

func TestACertificateThatHasEndedIsNotRenewed(t *testing.T) {
	w := open(t)
	who, _ := w.enrolled(t)
	w.clock.turn(366 * 24 * time.Hour)
	_, err := w.ids.RenewKept(t.Context(), who.Enrolment())
	require.Equal(t, identity.CodeState, code(t, err))
}

func TestACertificateEndsSoonAMonthBeforeOrInTheLastThirdOfItsLife(t *testing.T) {
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	year := &x509.Certificate{NotBefore: begin, NotAfter: begin.AddDate(1, 0, 0)}
	require.False(t, identity.EndsSoon(year, begin.AddDate(0, 11, 0)))
	require.True(t, identity.EndsSoon(year, begin.AddDate(0, 11, 2)))
	day := &x509.Certificate{NotBefore: begin, NotAfter: begin.Add(24 * time.Hour)}
	require.False(t, identity.EndsSoon(day, begin.Add(15*time.Hour)))
	require.True(t, identity.EndsSoon(day, begin.Add(17*time.Hour)))
}

func TestOperatorsSeeWhichKeptCertificatesEnd(t *testing.T) {
	w := open(t)
	who, made := w.enrolled(t)
	operator, err := w.handshake(t, user(t, w.own, "operator1"), nil)
	require.NoError(t, err)
	list, err := w.ids.Kept(t.Context(), operator)
	require.NoError(t, err)
	require.Equal(t, []identity.KeptCertificate{{Account: made.Account, Expires: made.Expires, Renewable: true}}, list)
	_, err = w.ids.Kept(t.Context(), who)
	require.Equal(t, identity.CodeForbidden, code(t, err))
	mine, err := w.ids.KeptOf(who)
	require.NoError(t, err)
	require.Equal(t, &list[0], mine)
	none, err := w.ids.KeptOf(operator)
	require.NoError(t, err)
	require.Nil(t, none)
}
