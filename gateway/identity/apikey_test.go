package identity_test

import (
	"context"
	"io"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

var discard = log.New(io.Discard, "", 0)

func (w *world) trainer(t testing.TB) identity.Principal {
	p, err := w.handshake(t, user(t, w.own, "trainer1"), nil)
	require.NoError(t, err)
	return p
}

func (w *world) key(t testing.TB, p identity.Principal, budget *money.Amount, scopes ...identity.Scope) (string, identity.Key) {
	token, key, err := w.ids.CreateKey(t.Context(), p, identity.KeyRequest{Label: "test", Scopes: scopes, Expires: w.clock.now().Add(time.Hour), Budget: budget})
	require.NoError(t, err)
	return token, key
}

func TestAnAPIKeyIsItsOwnerWithinItsScopes(t *testing.T) {
	w := open(t)
	token, key := w.key(t, w.trainer(t), nil, identity.Read, identity.Use)
	require.Regexp(t, `^dn_[a-km-np-z2-9]{16}_[a-km-np-z2-9]{52}$`, token)
	p, err := w.bearer(t, token)
	require.NoError(t, err)
	require.Equal(t, ledger.Account(own+":trainer1"), p.Account)
	require.Equal(t, []ledger.Role{ledger.Trainer, ledger.Consumer}, p.Roles)
	require.Equal(t, key.ID, p.KeyID)
	require.True(t, p.May(identity.Read))
	require.True(t, p.May(identity.Use))
	for _, scope := range []identity.Scope{identity.Write, identity.Content, identity.Admin} {
		require.False(t, p.May(scope), scope)
	}
	_, err = w.ids.Keys(t.Context(), p)
	require.Equal(t, identity.CodeForbidden, code(t, err))
	_, _, err = w.ids.CreateKey(t.Context(), p, identity.KeyRequest{Scopes: []identity.Scope{identity.Read}, Expires: w.clock.now().Add(time.Hour)})
	require.Equal(t, identity.CodeForbidden, code(t, err))
}

// anotherLetter is a letter of secrets that is not the given one.
func anotherLetter(letter byte) string {
	if letter == 'a' {
		return "b"
	}
	return "a"
}

func TestAWrongAPIKeyIsToldNothing(t *testing.T) {
	w := open(t)
	token, _ := w.key(t, w.trainer(t), nil, identity.Read)
	swapped := anotherLetter(token[len(token)-10])
	for name, wrong := range map[string]string{
		"another secret": token[:len(token)-10] + swapped + token[len(token)-9:],
		"another id":     "dn_aaaaaaaaaaaaaaaa" + token[19:],
		"capitals":       strings.ToUpper(token[:3]) + token[3:],
		"no secret":      token[:20],
		"a hash":         "dn_" + strings.Repeat("a", 64),
		"longer":         token + "a",
	} {
		_, err := w.bearer(t, wrong)
		require.Equal(t, identity.CodeUnauthenticated, code(t, err), name)
		require.NotContains(t, err.Error(), wrong)
	}
	_, err := w.bearer(t, "dn_"+strings.Repeat("a", 16)+"_"+strings.Repeat("a", 52))
	require.EqualError(t, err, "unauthenticated: the API key is not known here")
}

func TestAPIKeysEnd(t *testing.T) {
	w := open(t)
	trainer := w.trainer(t)
	token, key := w.key(t, trainer, nil, identity.Read)
	require.NoError(t, w.ids.RevokeKey(t.Context(), trainer, key.ID))
	require.NoError(t, w.ids.RevokeKey(t.Context(), trainer, key.ID))
	_, err := w.bearer(t, token)
	require.ErrorContains(t, err, "was revoked")

	token, itself := w.key(t, trainer, nil, identity.Read)
	p, err := w.bearer(t, token)
	require.NoError(t, err)
	_, another := w.key(t, trainer, nil, identity.Read)
	require.Equal(t, identity.CodeForbidden, code(t, w.ids.RevokeKey(t.Context(), p, another.ID)))
	require.NoError(t, w.ids.RevokeKey(t.Context(), p, itself.ID), "a key may revoke itself")

	token, _ = w.key(t, trainer, nil, identity.Read)
	w.clock.turn(time.Hour)
	_, err = w.bearer(t, token)
	require.ErrorContains(t, err, "expired at")

	keys, err := w.ids.Keys(t.Context(), trainer)
	require.NoError(t, err)
	require.Len(t, keys, 4)
	revoked := 0
	for _, k := range keys {
		if k.Revoked != nil {
			revoked++
		}
	}
	require.Equal(t, 2, revoked)
}

func TestOnlyOperatorsRevokeOthersKeys(t *testing.T) {
	w := open(t)
	token, key := w.key(t, w.operator(t), nil, identity.Read)
	require.Equal(t, identity.CodeNotFound, code(t, w.ids.RevokeKey(t.Context(), w.trainer(t), key.ID)))
	_, err := w.bearer(t, token)
	require.NoError(t, err)
	_, theirs := w.key(t, w.trainer(t), nil, identity.Read)
	require.NoError(t, w.ids.RevokeKey(t.Context(), w.operator(t), theirs.ID))
}

func TestAnAPIKeyHandsOnNoMoreThanItHas(t *testing.T) {
	w := open(t)
	token, _ := w.key(t, w.trainer(t), nil, identity.Admin, identity.Read)
	p, err := w.bearer(t, token)
	require.NoError(t, err)
	soon := w.clock.now().Add(time.Minute)
	_, _, err = w.ids.CreateKey(t.Context(), p, identity.KeyRequest{Scopes: []identity.Scope{identity.Write}, Expires: soon})
	require.Equal(t, identity.CodeForbidden, code(t, err))
	w.key(t, p, nil, identity.Read)

	budget := money.Amount(5)
	token, _ = w.key(t, w.trainer(t), &budget, identity.Admin, identity.Use)
	p, err = w.bearer(t, token)
	require.NoError(t, err)
	_, _, err = w.ids.CreateKey(t.Context(), p, identity.KeyRequest{Scopes: []identity.Scope{identity.Use}, Expires: soon})
	require.ErrorContains(t, err, "with a budget makes no others")
}

func TestAPIKeyRequestsAreChecked(t *testing.T) {
	w := open(t)
	soon, negative := w.clock.now().Add(time.Hour), money.Amount(-1)
	read := []identity.Scope{identity.Read}
	for name, r := range map[string]identity.KeyRequest{
		"no scope":           {Expires: soon},
		"an unknown scope":   {Scopes: []identity.Scope{"root"}, Expires: soon},
		"a scope twice":      {Scopes: []identity.Scope{identity.Read, identity.Read}, Expires: soon},
		"no end":             {Scopes: read},
		"an end in the past": {Scopes: read, Expires: soon.Add(-2 * time.Hour)},
		"too long":           {Scopes: read, Expires: soon.Add(identity.MaxKeyLife)},
		"a negative budget":  {Scopes: read, Expires: soon, Budget: &negative},
		"a long label":       {Scopes: read, Expires: soon, Label: strings.Repeat("x", identity.MaxLabel+1)},
		"a label of lines":   {Scopes: read, Expires: soon, Label: "a\nb"},
	} {
		_, _, err := w.ids.CreateKey(t.Context(), w.trainer(t), r)
		require.Equal(t, identity.CodeInvalid, code(t, err), name)
	}
	trainer := w.trainer(t)
	for range identity.MaxKeys {
		w.key(t, trainer, nil, identity.Read)
	}
	_, _, err := w.ids.CreateKey(t.Context(), w.trainer(t), identity.KeyRequest{Scopes: read, Expires: soon})
	require.Equal(t, identity.CodeState, code(t, err))
}

func TestARevocationEndsAKeyThatWasJustUsed(t *testing.T) {
	w := open(t)
	trainer := w.trainer(t)
	budget := money.Amount(100)
	token, key := w.key(t, trainer, &budget, identity.Use)
	for range 2 {
		p, err := w.bearer(t, token)
		require.NoError(t, err)
		require.Equal(t, budget, *p.Budget)
	}
	_, err := w.bearer(t, token[:len(token)-10]+anotherLetter(token[len(token)-10])+token[len(token)-9:])
	require.Error(t, err, "a key that was just used is known by all of it")
	require.NoError(t, w.ids.RevokeKey(t.Context(), trainer, key.ID))
	_, err = w.bearer(t, token)
	require.ErrorContains(t, err, "was revoked")
	token, _ = w.key(t, trainer, nil, identity.Use)
	_, err = w.bearer(t, token)
	require.NoError(t, err)
	w.clock.turn(time.Hour)
	_, err = w.bearer(t, token)
	require.ErrorContains(t, err, "expired at")
}

func TestOneOfTwoSimultaneousEnrolmentsUsesAnInvitation(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		w := openOn(t, db)
		invitation := w.invite(t, ledger.Trainer)
		results := make(chan error, 2)
		for range 2 {
			csr := request(t, newKey(t), "")
			go func() {
				_, err := w.ids.Enrol(context.Background(), identity.EnrolRequest{Code: invitation, Request: csr})
				results <- err
			}()
		}
		a, b := <-results, <-results
		require.True(t, (a == nil) != (b == nil), "%v, %v", a, b)
	})
}
