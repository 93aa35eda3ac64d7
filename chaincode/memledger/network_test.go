package memledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	. "github.com/datanet-consortium/datanet/chaincode/memledger"
)

// The chaincode of these tests keeps notes: a name, a text, and who may write it.
type note struct {
	Name  string `json:"name"`
	Text  string `json:"text,omitzero"`
	Owner string `json:"owner,omitzero"` // makes the note a slot of this organisation
}

type noteList struct {
	Names []string `json:"names"`
	Next  string   `json:"next"`
}

func noteKey(name string) ledger.Key { return ledger.NewKey("note", name) }

type open struct{}

func (open) Reads() []ledger.Key                         { return nil }
func (open) Admit(ledger.Reader, *ledger.Function) error { return nil }

func notes() []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("note:Create", "", ledger.Anyone, func(tx ledger.Tx, n note) (note, error) {
			old, found, err := ledger.Load[note](tx, noteKey(n.Name))
			if err != nil {
				return n, err
			}
			if found {
				return n, ledger.Refuse(ledger.CodeExists, "note exists with text %q", old.Text)
			}
			if n.Owner != "" {
				tx.Guard(noteKey(n.Name), ledger.SlotPolicy(n.Owner, members))
			}
			tx.Emit("note.created/1", n)
			return n, ledger.Save(tx, noteKey(n.Name), n)
		}),
		ledger.Command("note:Write", "", ledger.Anyone, func(tx ledger.Tx, n note) (note, error) {
			if _, _, err := tx.KeyPolicy(noteKey(n.Name)); err != nil {
				return n, err
			}
			tx.Emit("note.written/1", n)
			return n, ledger.Save(tx, noteKey(n.Name), n)
		}),
		ledger.Command("note:Blind", "", ledger.Anyone, func(tx ledger.Tx, n note) (note, error) {
			tx.Emit("note.written/1", n)
			return n, ledger.Save(tx, noteKey(n.Name), n)
		}),
		ledger.Query("note:Read", "", ledger.Anyone, func(r ledger.Lister, n note) (note, error) {
			found, ok, err := ledger.Load[note](r, noteKey(n.Name))
			if err == nil && !ok {
				err = ledger.Refuse(ledger.CodeNotFound, "no note %q", n.Name)
			}
			return found, err
		}),
		ledger.Query("note:List", "", ledger.Anyone, func(r ledger.Lister, req ledger.PageRequest) (noteList, error) {
			page, err := ledger.List(r, ledger.NewKey("note"), req, func(key ledger.Key, _ []byte) (string, error) {
				_, parts, _ := key.Split()
				return parts[0], nil
			})
			return noteList{Names: page.Items, Next: page.Next}, err
		}),
	}
}

func noteNetwork(t *testing.T, more ...*ledger.Function) *Network {
	t.Helper()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	net, err := New(Config{
		Channel: "test", Members: members, Observers: []string{"R"}, Strict: true,
		Registry: ledger.NewRegistry(open{}, notes(), more), Now: func() time.Time { return now },
	})
	require.NoError(t, err)
	return net
}

func propose(caller, function string, doc any) Proposal {
	data, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return Proposal{Caller: ledger.Caller{MSP: caller, Enrolment: "alice"}, Function: function, Document: data}
}

func TestNetworkPlansTheEndorsersThatThePoliciesAskFor(t *testing.T) {
	net := noteNetwork(t)
	e, flag, err := net.Invoke(propose("X", "note:Create", note{Name: "n", Owner: "W"}))
	require.NoError(t, err)
	require.Equal(t, Valid, flag)
	require.Equal(t, []string{"X", "V"}, e.Transaction.Endorsers, "a majority, the caller's organisation first")
	e, flag, err = net.Invoke(propose("X", "note:Write", note{Name: "n", Text: "yes"}))
	require.NoError(t, err)
	require.Equal(t, Valid, flag)
	require.Equal(t, []string{"X", "W"}, e.Transaction.Endorsers, "the slot's owner and one other")
}

func TestNetworkWithoutEnoughPeersHasNoPlan(t *testing.T) {
	all := ledger.OutOf(2, ledger.PeerOf("V"), ledger.PeerOf("Q"))
	net, err := New(Config{Members: members, Policy: &all, Registry: ledger.NewRegistry(open{}, notes())})
	require.NoError(t, err)
	_, err = net.Propose(propose("V", "note:Create", note{Name: "n"}))
	require.ErrorIs(t, err, ErrNoPlan)
}

func TestProposalsSeeCommittedStateOnly(t *testing.T) {
	net := noteNetwork(t)
	first, err := net.Propose(propose("V", "note:Create", note{Name: "n", Text: "1"}))
	require.NoError(t, err)
	require.NoError(t, net.Submit(first))
	second, err := net.Propose(propose("W", "note:Create", note{Name: "n", Text: "2"}))
	require.NoError(t, err, "the first is submitted, not committed")
	require.NoError(t, net.Submit(second))
	block, err := net.Cut()
	require.NoError(t, err)
	require.Equal(t, []Flag{Valid, MVCCReadConflict}, block.Flags)
	_, err = net.Propose(propose("W", "note:Create", note{Name: "n", Text: "2"}))
	require.Equal(t, ledger.CodeExists, ledger.AsFault(err).Code)
	doc, err := net.Evaluate(propose("R", "note:Read", note{Name: "n"}), "")
	require.NoError(t, err)
	require.JSONEq(t, `{"name":"n","text":"1"}`, string(doc))
}

func TestEnvelopeSentTwiceTakesEffectOnce(t *testing.T) {
	net := noteNetwork(t)
	e, flag, err := net.Invoke(propose("V", "note:Blind", note{Name: "n"}))
	require.NoError(t, err)
	require.Equal(t, Valid, flag)
	require.NoError(t, net.Submit(e))
	require.NoError(t, net.Submit(e))
	block, err := net.Cut()
	require.NoError(t, err)
	require.Equal(t, []Flag{DuplicateTxID, DuplicateTxID}, block.Flags)
}

func TestEnvelopeHeldBack(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	net, err := New(Config{Members: members, Registry: ledger.NewRegistry(open{}, notes()), Now: func() time.Time { return now }})
	require.NoError(t, err)
	blind, err := net.Propose(propose("V", "note:Blind", note{Name: "blind"}))
	require.NoError(t, err)
	reading, err := net.Propose(propose("V", "note:Create", note{Name: "n"}))
	require.NoError(t, err)
	_, _, err = net.Invoke(propose("V", "note:Create", note{Name: "n"}))
	require.NoError(t, err)
	now = now.Add(1000 * time.Hour)
	require.NoError(t, net.Submit(blind))
	require.NoError(t, net.Submit(reading))
	block, err := net.Cut()
	require.NoError(t, err)
	require.Equal(t, []Flag{Valid, MVCCReadConflict}, block.Flags, "no peer looks at the time again; what it read decides")
}

func TestProposalTimestamps(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	net, err := New(Config{Members: members, Registry: ledger.NewRegistry(open{}, notes()), Now: func() time.Time { return now }})
	require.NoError(t, err)
	for _, test := range []struct {
		offset time.Duration
		want   error
	}{{Window, nil}, {-Window, nil}, {Window + 1, ErrRefused}, {-Window - 1, ErrRefused}} {
		p := propose("V", "note:Blind", note{Name: "n"})
		p.Time = now.Add(test.offset)
		_, err := net.Propose(p)
		require.ErrorIs(t, err, test.want, "offset %s", test.offset)
		p.Function = "note:List"
		p.Document = []byte("{}")
		_, err = net.Evaluate(p, "")
		require.ErrorIs(t, err, test.want, "offset %s, on evaluate too", test.offset)
	}
}

func TestClientsOfOtherOrganisations(t *testing.T) {
	net := noteNetwork(t)
	_, err := net.Propose(propose("Q", "note:Blind", note{Name: "n"}))
	require.ErrorIs(t, err, ErrRefused, "an organisation that is not of the channel")
	e, err := net.Propose(propose("R", "note:Blind", note{Name: "n"}))
	require.NoError(t, err, "the regulator's write is endorsed")
	require.ErrorIs(t, net.Submit(e), ErrOrdering, "and refused at ordering")
	block, err := net.Cut()
	require.NoError(t, err)
	require.Nil(t, block)
}

func TestTamperedChaincode(t *testing.T) {
	forge := ledger.Command("note:Create", "", ledger.Anyone, func(tx ledger.Tx, n note) (note, error) {
		n.Text = "forged"
		tx.Emit("note.created/1", n)
		return n, ledger.Save(tx, noteKey(n.Name), n)
	})
	net := noteNetwork(t)
	require.NoError(t, net.Replace("V", ledger.NewRegistry(open{}, []*ledger.Function{forge})))
	_, err := net.Propose(propose("V", "note:Create", note{Name: "n"}), "V", "W")
	require.ErrorIs(t, err, ErrMismatch, "an honest endorser does not agree")
	_, flag, err := net.Invoke(propose("V", "note:Create", note{Name: "n"}), "V")
	require.NoError(t, err)
	require.Equal(t, EndorsementPolicyFailure, flag, "and alone it does not suffice")
	require.NoError(t, net.Replace("W", ledger.NewRegistry(open{}, []*ledger.Function{forge})))
	_, flag, err = net.Invoke(propose("V", "note:Create", note{Name: "n"}), "V", "W")
	require.NoError(t, err)
	require.Equal(t, Valid, flag, "a colluding majority writes what it likes where no slot stands")
}

func TestStrictModeFindsARuleThatIsNotDeterministic(t *testing.T) {
	calls := 0
	for claim, fickle := range map[string]func(ledger.Tx){
		"value": func(tx ledger.Tx) { tx.Put(noteKey("n"), fmt.Append(nil, calls)); tx.Emit("e/1", 0) },
		"event": func(tx ledger.Tx) { tx.Put(noteKey("n"), []byte("1")); tx.Emit("e/1", calls) },
		"read": func(tx ledger.Tx) {
			_, _ = tx.Get(noteKey(fmt.Sprint(calls)))
			tx.Put(noteKey("n"), []byte("1"))
			tx.Emit("e/1", 0)
		},
		"policy": func(tx ledger.Tx) {
			tx.Guard(noteKey("n"), ledger.OutOf(calls))
			tx.Emit("e/1", 0)
		},
	} {
		t.Run(claim, func(t *testing.T) {
			net := noteNetwork(t, ledger.Command("note:Fickle", "", ledger.Anyone, func(tx ledger.Tx, _ struct{}) (string, error) {
				calls++
				fickle(tx)
				return "", nil
			}))
			_, err := net.Propose(propose("V", "note:Fickle", struct{}{}), "V")
			require.ErrorIs(t, err, ErrNotDeterministic)
		})
	}
}

func TestListsArePagedAndNeverWrite(t *testing.T) {
	cheat := ledger.Query("note:Cheat", "", ledger.Anyone, func(r ledger.Lister, req ledger.PageRequest) (string, error) {
		if _, _, err := r.Range(ledger.NewKey("note"), "", 1); err != nil {
			return "", err
		}
		tx, ok := r.(ledger.Tx)
		if !ok {
			return "", errors.New("no way to write")
		}
		tx.Put(noteKey("n"), []byte("1"))
		tx.Emit("e/1", 0)
		return "", nil
	})
	net := noteNetwork(t, cheat)
	want := []string{}
	for i := range 7 {
		name := fmt.Sprintf("n%d", i)
		want = append(want, name)
		_, _, err := net.Invoke(propose("V", "note:Create", note{Name: name}))
		require.NoError(t, err)
	}
	names, cursor := []string{}, ""
	for {
		doc, err := net.Evaluate(propose("V", "note:List", ledger.PageRequest{Limit: 3, Cursor: cursor}), "")
		require.NoError(t, err)
		var page noteList
		require.NoError(t, json.Unmarshal(doc, &page))
		names = append(names, page.Names...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	require.Equal(t, want, names)
	_, err := net.Propose(propose("V", "note:Cheat", ledger.PageRequest{}))
	require.ErrorContains(t, err, "paginated query")
}

func TestASubmittedListConflictsWithANewcomerInItsRange(t *testing.T) {
	for _, test := range []struct {
		claim string
		limit int
		want  Flag
	}{{"the whole list", 5, PhantomReadConflict}, {"a full page before the newcomer", 1, Valid}} {
		t.Run(test.claim, func(t *testing.T) {
			net := noteNetwork(t)
			_, _, err := net.Invoke(propose("V", "note:Create", note{Name: "a"}))
			require.NoError(t, err)
			list, err := net.Propose(propose("V", "note:List", ledger.PageRequest{Limit: test.limit}))
			require.NoError(t, err)
			_, _, err = net.Invoke(propose("V", "note:Create", note{Name: "b"}))
			require.NoError(t, err)
			require.NoError(t, net.Submit(list))
			block, err := net.Cut()
			require.NoError(t, err)
			require.Equal(t, test.want, block.Flags[0])
		})
	}
}

func TestConfigurations(t *testing.T) {
	reg := ledger.NewRegistry(open{}, notes())
	for claim, config := range map[string]Config{
		"no members":                   {Registry: reg},
		"no chaincode":                 {Members: members},
		"an organisation listed twice": {Members: members, Observers: []string{"V"}, Registry: reg},
	} {
		t.Run(claim, func(t *testing.T) {
			_, err := New(config)
			require.Error(t, err)
		})
	}
}
