package identity_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

func TestWhoIsRetiredActsThroughTheGatewayNoMore(t *testing.T) {
	w := open(t)
	who, made := w.enrolled(t)
	second, _, err := w.ids.CreateKey(t.Context(), who, identity.KeyRequest{Label: "program", Scopes: []identity.Scope{identity.Read}, Expires: w.clock.now().Add(time.Hour)})
	require.NoError(t, err)
	trainer := user(t, w.own, "trainer1")
	_, err = w.handshake(t, trainer, nil)
	require.NoError(t, err)

	for range 2 { // the second time changes nothing
		require.NoError(t, w.ids.Retire(t.Context(), w.operator(t), who.Enrolment()))
		for _, token := range []string{made.Token, second} {
			_, err = w.bearer(t, token)
			require.Equal(t, identity.CodeUnauthenticated, code(t, err))
		}
		_, kept, err := w.shelf.Certificate(who.Enrolment())
		require.NoError(t, err)
		require.False(t, kept)
		_, err = w.ids.RenewKept(t.Context(), who.Enrolment())
		require.Equal(t, identity.CodeNotFound, code(t, err))
	}

	require.NoError(t, w.ids.Retire(t.Context(), w.operator(t), "trainer1"))
	_, err = w.handshake(t, trainer, nil)
	require.Equal(t, identity.CodeUnauthenticated, code(t, err), "with a key of one's own, too")
}

func TestWhoIsRetiredStaysSoWhateverIsTakenBack(t *testing.T) {
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "state.db")))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	w := openOn(t, db)
	who, made := w.enrolled(t)
	key := w.shelf.keys[who.Enrolment()]
	require.NoError(t, w.ids.Retire(t.Context(), w.operator(t), who.Enrolment()))

	require.NoError(t, w.shelf.Add(who.Enrolment(), []byte(made.Certificate), key)) // a keystore of earlier
	_, err = db.ExecContext(t.Context(), `UPDATE identity_keys SET revoked = 0`)
	require.NoError(t, err)
	again, err := identity.Open(t.Context(), db, identity.Config{MSPID: own, Authorities: map[string][]byte{own: w.own.CA.PEM}, Custody: w.shelf, Now: w.clock.now})
	require.NoError(t, err)
	w.ids = again
	_, err = w.bearer(t, made.Token)
	require.Equal(t, identity.CodeUnauthenticated, code(t, err))
	require.Empty(t, w.shelf.keys)
}

func TestOnlyAnOperatorRetiresAndNotItself(t *testing.T) {
	w := open(t)
	who, _ := w.enrolled(t)
	operator := w.operator(t)
	narrow := operator
	narrow.Method, narrow.Scopes = identity.APIKey, []identity.Scope{identity.Read, identity.Write}
	for _, test := range []struct {
		by        identity.Principal
		enrolment string
		code      identity.Code
	}{
		{who, who.Enrolment(), identity.CodeForbidden},
		{who, "trainer1", identity.CodeForbidden},
		{narrow, "trainer1", identity.CodeForbidden},
		{operator, operator.Enrolment(), identity.CodeState},
		{operator, identity.GatewayEnrolment, identity.CodeForbidden},
		{operator, "../trainer1", identity.CodeInvalid},
		{operator, "", identity.CodeInvalid},
	} {
		require.Equal(t, test.code, code(t, w.ids.Retire(t.Context(), test.by, test.enrolment)), test.enrolment)
	}
	_, err := w.handshake(t, user(t, w.own, "trainer1"), nil)
	require.NoError(t, err)
}
