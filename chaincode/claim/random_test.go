package claim_test

import (
	"cmp"
	"flag"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

// operations is how many random operations TestFeesAreConserved plays; the soak run asks for more.
var operations = flag.Int("claim.operations", 1500, "random operations on sessions and claims to play")

// TestFeesAreConserved plays consumers, a host and attestors at random, honest and cheating, many transactions to a block.
// Some transactions are held back and submitted much later. After every block the ledger is compared with a plain book.
func TestFeesAreConserved(t *testing.T) {
	played, committed := 0, map[string]int{}
	for played < *operations {
		rapid.Check(t, func(t *rapid.T) { played += play(t, committed) })
	}
	for _, function := range []string{"session:TopUp", "claim:Settle", "session:Expire", "session:Reclaim", "claim:Attest", "claim:Release", lost} {
		require.NotZero(t, committed[function], "nothing is shown of %s", function)
	}
	t.Logf("%d operations: %v", played, committed)
}

// lost counts transactions that lost to another one.
const lost = "lost"

// sessionBook is what the book knows of a session.
type sessionBook struct {
	payer   *rulestest.Payer
	owner   ledger.Account
	vouched []session.Presented // all vouchers so far, the latest last
	funded  money.Amount
	settled money.Amount
	n       int64
	closed  bool
	funds   map[string]money.Amount // that nothing has counted
}

// claimBook is what it knows of a claim, and the table that honest attestors vote for.
type claimBook struct {
	claim.Claim
	pages []disbursement.Page
	left  money.Amount
}

// book is what must be on the ledger, kept by addition and subtraction only.
type book struct {
	*rulestest.Market
	has      map[ledger.Account]money.Amount
	sessions []*sessionBook
	claims   []*claimBook
	held     []waiting
	queue    []waiting
}

// waiting is an endorsed transaction and what to enter into the book once it is valid.
type waiting struct {
	envelope *memledger.Envelope
	enter    func()
}

func play(t *rapid.T, committed map[string]int) int {
	b := &book{Market: rulestest.NewMarket(t), has: map[ledger.Account]money.Amount{}}
	consumers := []ledger.Caller{b.Consumer(t, rulestest.A, 1_000_000), b.Consumer(t, rulestest.B, 1_000_000)}
	for _, c := range consumers {
		b.has[c.Account()] = 1_000_000
	}
	for range 3 {
		b.open(t, rapid.SampledFrom(consumers).Draw(t, "consumer"))
	}
	done := 0
	for done < 90 {
		for range rapid.IntRange(1, 6).Draw(t, "block") {
			b.step(t, consumers)
			done++
		}
		b.cut(t, committed)
	}
	return done
}

func (b *book) step(t *rapid.T, consumers []ledger.Caller) {
	steps := map[string]func(){
		"open":      func() { b.open(t, rapid.SampledFrom(consumers).Draw(t, "consumer")) },
		"use":       func() { b.use(t) },
		"top up":    func() { b.topUp(t) },
		"settle":    func() { b.settle(t) },
		"forge":     func() { b.forge(t) },
		"expire":    func() { b.expire(t) },
		"reclaim":   func() { b.reclaim(t) },
		"attest":    func() { b.attest(t) },
		"release":   func() { b.release(t) },
		"clock":     func() { b.Clock = b.Clock.Add(time.Duration(rapid.IntRange(1, 48).Draw(t, "hours")) * time.Hour) },
		"let go":    func() { b.letGo(t) },
		"use much":  func() { b.use(t); b.use(t); b.use(t) },
		"settle 2":  func() { b.settle(t) },
		"attest 2":  func() { b.attest(t) },
		"expire 2":  func() { b.expire(t) },
		"reclaim 2": func() { b.reclaim(t) },
	}
	steps[rapid.SampledFrom(slices.Sorted(maps.Keys(steps))).Draw(t, "step")]()
}

// try proposes and, when it is endorsed, submits now or holds it back. Of a fault the code must be one of those expected.
func (b *book) try(t *rapid.T, user ledger.Caller, function string, request any, enter func(), expected ...ledger.Code) {
	envelope, err := b.Propose(rulestest.Proposal(t, user, function, request))
	if err != nil {
		require.Contains(t, expected, ledger.AsFault(err).Code, "%s: %v", function, err)
		return
	}
	if envelope.Event == nil { // done before
		return
	}
	w := waiting{envelope, enter}
	if rapid.IntRange(0, 4).Draw(t, "hold") == 0 {
		b.held = append(b.held, w)
		return
	}
	require.NoError(t, b.Submit(envelope))
	b.queue = append(b.queue, w)
}

// letGo submits what was held back first.
func (b *book) letGo(t *rapid.T) {
	if len(b.held) > 0 {
		require.NoError(t, b.Submit(b.held[0].envelope))
		b.queue, b.held = append(b.queue, b.held[0]), b.held[1:]
	}
}

func (b *book) cut(t *rapid.T, committed map[string]int) {
	block, err := b.Cut()
	require.NoError(t, err)
	if block == nil {
		return
	}
	require.Len(t, block.Flags, len(b.queue))
	for i, flag := range block.Flags {
		if flag == memledger.Valid {
			committed[b.queue[i].envelope.Proposal.Function]++
			b.queue[i].enter()
		} else {
			require.Equal(t, memledger.MVCCReadConflict, flag)
			committed[lost]++
		}
	}
	b.queue = nil
	b.compare(t)
}

func (b *book) open(t *rapid.T, by ledger.Caller) {
	escrow := money.Amount(rapid.SampledFrom([]int{0, 5_000, 60_000, 60_000}).Draw(t, "escrow"))
	if b.has[by.Account()] < escrow {
		return
	}
	// A session is opened in a block of its own, so that its consumer can go on using it.
	b.cut(t, map[string]int{})
	p, fault := b.opened(t, by, escrow)
	if fault != nil {
		require.Equal(t, ledger.CodeInsufficient, fault.Code, "what came back waits in credits: %v", fault)
		return
	}
	b.has[by.Account()] -= escrow
	b.sessions = append(b.sessions, &sessionBook{payer: p, owner: by.Account(), funded: escrow, funds: map[string]money.Amount{}})
	b.compare(t)
}

func (b *book) opened(t *rapid.T, by ledger.Caller, escrow money.Amount) (*rulestest.Payer, *ledger.Fault) {
	if _, err := b.Propose(rulestest.Proposal(t, by, "session:Open", session.Open{Name: b.ID(), Terms: b.Terms("probe", escrow)})); err != nil {
		return nil, ledger.AsFault(err)
	}
	return b.Open(t, by, escrow), nil
}

func (b *book) session(t *rapid.T) *sessionBook {
	if len(b.sessions) == 0 {
		return nil
	}
	return b.sessions[rapid.IntRange(0, len(b.sessions)-1).Draw(t, "session")]
}

func (b *book) use(t *rapid.T) {
	if s := b.session(t); s != nil {
		s.payer.Use(t, money.Amount(rapid.IntRange(0, 8_000).Draw(t, "fee")))
		s.vouched = append(s.vouched, s.payer.Present(t))
	}
}

func (b *book) topUp(t *rapid.T) {
	s := b.session(t)
	if s == nil {
		return
	}
	req := session.TopUp{Name: s.payer.Name, ID: b.ID(), Amount: money.Amount(rapid.IntRange(1, 20_000).Draw(t, "amount"))}
	by := ledger.Caller{MSP: s.owner.MSP(), Enrolment: string(s.owner)[len(s.owner.MSP())+1:], Roles: []ledger.Role{ledger.Consumer}}
	b.try(t, by, "session:TopUp", req, func() {
		s.funds[req.ID] = req.Amount
		b.has[s.owner] -= req.Amount
	}, ledger.CodeState, ledger.CodeInsufficient)
}

// settle presents some sessions, with their latest voucher or an older one, top-ups or none, closing or not.
func (b *book) settle(t *rapid.T) {
	var list []session.Presented
	var of []*sessionBook
	for _, s := range b.sessions {
		if len(s.vouched) == 0 || !rapid.Bool().Draw(t, "settle it") {
			continue
		}
		p := s.vouched[len(s.vouched)-1]
		if rapid.IntRange(0, 9).Draw(t, "old") == 0 {
			p = s.vouched[rapid.IntRange(0, len(s.vouched)-1).Draw(t, "which")]
		}
		p.Funds = slices.Sorted(maps.Keys(s.funds))
		p.Close = rapid.IntRange(0, 5).Draw(t, "close") == 0
		list, of = append(list, p), append(of, s)
	}
	if len(list) == 0 {
		return
	}
	// Twice under different names: whichever is ordered first, the other one must lose.
	for range 2 {
		req := settlement(b.Market, list...)
		b.try(t, b.Host, "claim:Settle", req, func() { b.settled(t, req, of) }, ledger.CodeState, ledger.CodeInsufficient)
	}
}

// settled enters a settlement.
func (b *book) settled(t *rapid.T, req claim.Settle, of []*sessionBook) {
	fees := money.Amount(0)
	for i, p := range req.Sessions {
		s := of[i]
		require.Less(t, s.n, p.N, "a voucher was settled that says nothing new")
		require.False(t, s.closed)
		for _, id := range p.Funds {
			require.Contains(t, s.funds, id, "a top-up was counted twice")
			s.funded += s.funds[id]
			delete(s.funds, id)
		}
		fees += p.Amount - s.settled
		s.settled, s.n = p.Amount, p.N
		if p.Close {
			b.has[s.owner] += s.funded - s.settled
			s.closed = true
		}
	}
	data := fees * 600_000 / 1_000_000
	for to, amount := range divided(fees-data, map[ledger.Account]int64{b.Card.Host: 100_000, b.Card.Owner: 150_000,
		b.Card.Platform: 50_000, ledger.PoolAccount(b.Pool): 100_000}) {
		b.has[to] += amount
	}
	if data == 0 {
		return
	}
	answer, err := b.Evaluate(rulestest.Proposal(t, b.Host, "claim:Get", claim.Named{Host: b.Host.Account(), ID: req.ID}), "")
	require.NoError(t, err)
	made := &claimBook{left: data}
	require.NoError(t, ledger.DecodeAnswer(answer, &made.Claim))
	payments := []payout.Payment{{Payee: string(b.Ann.Account()), Amount: int64(data - data/2)}}
	if half := data / 2; half > 0 {
		payments = append(payments, payout.Payment{Payee: string(b.Bob.Account()), Amount: int64(half)})
	}
	made.pages = pagesOf(payments)
	b.claims = append(b.claims, made)
}

// forge presents what no consumer has signed.
func (b *book) forge(t *rapid.T) {
	s := b.session(t)
	if s == nil || len(s.vouched) == 0 {
		return
	}
	p := s.vouched[len(s.vouched)-1]
	switch rapid.IntRange(0, 3).Draw(t, "forgery") {
	case 0:
		p.Amount += 10_000
	case 1:
		p.N += 1
	case 2:
		p.Root[0] ^= 1
	case 3:
		other := b.session(t)
		if other == s {
			return
		}
		p.Named = other.payer.Named
	}
	b.try(t, b.Host, "claim:Settle", settlement(b.Market, p), func() { t.Fatalf("a forged voucher was settled") }, ledger.CodeInvalid, ledger.CodeState)
}

func (b *book) expire(t *rapid.T) {
	if s := b.session(t); s != nil {
		b.try(t, b.Ann, "session:Expire", s.payer.Named, func() {
			require.False(t, b.Clock.Before(s.payer.Ends()))
		}, ledger.CodeState)
	}
}

func (b *book) reclaim(t *rapid.T) {
	s := b.session(t)
	if s == nil {
		return
	}
	req := session.Reclaim{Named: s.payer.Named, Funds: slices.Sorted(maps.Keys(s.funds))}
	b.try(t, b.Bob, "session:Reclaim", req, func() {
		for _, id := range req.Funds {
			b.has[s.owner] += s.funds[id]
			delete(s.funds, id)
		}
		if !s.closed {
			b.has[s.owner] += s.funded - s.settled
			s.closed = true
		}
	}, ledger.CodeState)
}

func (b *book) claim(t *rapid.T) *claimBook {
	if len(b.claims) == 0 {
		return nil
	}
	return b.claims[rapid.IntRange(0, len(b.claims)-1).Draw(t, "claim")]
}

func (b *book) attest(t *rapid.T) {
	c := b.claim(t)
	if c == nil {
		return
	}
	digest, err := c.pages[0].Digest()
	require.NoError(t, err)
	msp := rapid.SampledFrom([]string{rulestest.A, rulestest.B, rulestest.C}).Draw(t, "attestor")
	vote := claim.Attest{Named: c.Named, Vote: claim.Vote{Scope: c.Scope, Revisions: []int{1}, Table: digest, Rate: use.All}}
	b.try(t, validator(msp), "claim:Attest", vote, func() { require.NotEqual(t, rulestest.C, msp, "the host's organisation does not attest") },
		ledger.CodeForbidden, ledger.CodeState)
}

func (b *book) release(t *rapid.T) {
	c := b.claim(t)
	if c == nil {
		return
	}
	page := c.pages[0]
	if rapid.IntRange(0, 4).Draw(t, "another table") == 0 {
		page.Payments = []token.Payment{{To: b.Bob.Account(), Amount: page.Due}}
		b.try(t, b.Bob, "claim:Release", claim.Release{Named: c.Named, Page: page}, func() { t.Fatalf("a table was paid that nobody voted for") },
			ledger.CodeState, ledger.CodeExists)
		return
	}
	b.try(t, b.Ann, "claim:Release", claim.Release{Named: c.Named, Page: page}, func() {
		for _, p := range page.Payments {
			b.has[p.To] += p.Amount
		}
		c.left = 0
	}, ledger.CodeState)
}

// compare checks conservation, and every session, claim and account against the book.
func (b *book) compare(t *rapid.T) {
	tally := b.Tally(t)
	require.NoError(t, tally.Check())
	var inSessions, inClaims money.Amount
	for _, s := range b.sessions {
		if !s.closed {
			inSessions += s.funded - s.settled
		}
		for _, amount := range s.funds {
			inSessions += amount
		}
		require.LessOrEqual(t, s.settled, s.funded)
	}
	for _, c := range b.claims {
		inClaims += c.left
	}
	require.Equal(t, inSessions, tally.Sessions)
	require.Equal(t, inClaims, tally.Claims)
	has := map[ledger.Account]money.Amount{}
	for _, entry := range b.State() {
		kind, parts, _ := entry.Key.Split()
		switch kind {
		case "balance":
			v, err := ledger.Value[token.Balance](entry.Key, entry.Value)
			require.NoError(t, err)
			has[ledger.Account(parts[0])] += v.Amount
		case "credit":
			v, err := ledger.Value[token.Credit](entry.Key, entry.Value)
			require.NoError(t, err)
			has[ledger.Account(parts[0])] += v.Amount
		}
	}
	for _, amounts := range []map[ledger.Account]money.Amount{has, b.has} {
		maps.DeleteFunc(amounts, func(_ ledger.Account, amount money.Amount) bool { return amount == 0 })
	}
	require.Equal(t, b.has, has)
}

// divided splits by largest remainder, the slow way: whole quotas first, then one each to the largest fractions.
func divided(total money.Amount, ppm map[ledger.Account]int64) map[ledger.Account]money.Amount {
	sum := int64(0)
	for _, part := range ppm {
		sum += part
	}
	out, left := map[ledger.Account]money.Amount{}, total
	payees := slices.Sorted(maps.Keys(ppm))
	for _, to := range payees {
		out[to] = money.Amount(int64(total) * ppm[to] / sum)
		left -= out[to]
	}
	slices.SortStableFunc(payees, func(x, y ledger.Account) int {
		return cmp.Compare(int64(total)*ppm[y]%sum, int64(total)*ppm[x]%sum)
	})
	for _, to := range payees[:left] {
		out[to]++
	}
	return out
}

func pagesOf(payments []payout.Payment) (list []disbursement.Page) {
	pages, err := payout.Pages(payments)
	if err != nil {
		panic(err)
	}
	for i, p := range pages {
		page := disbursement.Page{Number: i + 1, Due: money.Amount(p.Due), Rest: p.Rest}
		for _, payment := range p.Payments {
			page.Payments = append(page.Payments, token.Payment{To: ledger.Account(payment.Payee), Amount: money.Amount(payment.Amount)})
		}
		list = append(list, page)
	}
	return list
}
