package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"

	"github.com/datanet-consortium/datanet/audit/question"
	"github.com/datanet-consortium/datanet/audit/question/questiontest"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// The sizes of what the year holds, as parts of its transactions.
const (
	perBlock    = 50
	people      = 500
	perSnapshot = 10_000 // contributions in the large snapshot, at most
	settlements = 200    // every so many transactions is one
)

// year is a ledger: the story, and after it what happens in a year. What it writes has the form that the rules give it.
type year struct {
	story        *questiontest.Story
	transactions int
	start        time.Time

	pool   string // a large datanet
	big    model.Named
	sealed []string // its contributions
	claims int

	done, blocks, written int
}

func newYear(story *questiontest.Story, transactions int) *year {
	return &year{story: story, transactions: transactions, start: story.Clock.Add(time.Hour), pool: rulestest.A + "/large", big: model.Named{Name: rulestest.A + "/large", Version: "1"}}
}

// Blocks gives the chain block by block, as a peer does.
func (y *year) Blocks(ctx context.Context, _ uint64) (<-chan *common.Block, error) {
	blocks := make(chan *common.Block, 64)
	go func() {
		defer close(blocks)
		send := func(b *common.Block) bool {
			select {
			case blocks <- b:
				return true
			case <-ctx.Done():
				return false
			}
		}
		for _, b := range y.story.Chain.Blocks {
			if !send(b) {
				return
			}
		}
		chain := y.story.Chain
		for n := 0; n < y.transactions; {
			block := &memledger.Block{Number: uint64(len(chain.Blocks))}
			for range perBlock {
				block.Envelopes, block.Flags = append(block.Envelopes, y.transaction(n)), append(block.Flags, memledger.Valid)
				n++
			}
			b := chain.Append(block)
			chain.Blocks[len(chain.Blocks)-1] = &common.Block{Header: b.Header} // the next one needs no more of it
			if !send(b) {
				return
			}
		}
		<-ctx.Done()
	}()
	return blocks, nil
}

// fill indexes the year.
func (y *year) fill(ctx context.Context, x *index.Index, progress io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	height := uint64(len(y.story.Chain.Blocks) + (y.transactions+perBlock-1)/perBlock)
	failed := make(chan error, 1)
	go func() { failed <- x.Follow(ctx, y) }()
	for at := uint64(0); at < height; {
		at = min(at+2000, height)
		if err := x.WaitHeight(ctx, at); err != nil {
			return err
		}
		fmt.Fprintf(progress, "\r%d of %d blocks", at, height)
	}
	fmt.Fprintln(progress)
	y.done, y.blocks = y.transactions, int(height)
	stop()
	return <-failed
}

func id(n int) string { return fmt.Sprintf("%032x", n) }

// transaction is the n-th: half payments, a third submissions with their slots and votes, the rest what else there is.
func (y *year) transaction(n int) *memledger.Envelope {
	user := rulestest.User(rulestest.C, fmt.Sprintf("user%d", n%people), ledger.Contributor, ledger.Consumer)
	tx := fmt.Sprintf("%064x", n+1<<40)
	e := &memledger.Envelope{Proposal: memledger.Proposal{TxID: tx, Caller: user, Time: y.start.Add(time.Duration(n) * 30 * time.Second), Function: "token:Transfer", Document: []byte("{}")},
		Event: &ledger.Event{Name: "token.transferred/1", Payload: []byte(`{"account":"` + string(user.Account()) + `"}`)}}
	write := func(function string, key ledger.Key, value string) {
		e.Proposal.Function = function
		e.Transaction.Writes = append(e.Transaction.Writes, memledger.Write{Key: key, Value: []byte(value)})
		y.written++
	}
	switch {
	case n == y.transactions-1:
		y.train(tx, write)
	case n%settlements == 7:
		y.settle(n, tx, write)
	case n%settlements == 8:
		y.others(n, tx, write)
	case n%2 == 0:
		y.submit(n, tx, user.Account(), write)
	default:
		account := string(user.Account())
		write("token:Transfer", ledger.NewKey("balance", account), `{"amount":"0"}`)
		write("token:Transfer", ledger.NewKey("credit", fmt.Sprintf("%s:user%d", rulestest.B, n%300), tx), `{"amount":"0","kind":"transfer","from":"`+account+`"}`)
		write("token:Transfer", ledger.NewKey("spend", account, tx[32:]), `{"kind":"transfer","digest":"`+rulestest.Hash+`","amount":"0","payees":1,"consumed":[],"left":"0","tx":"`+tx+`"}`)
	}
	return e
}

type writer func(function string, key ledger.Key, value string)

// submit registers a contribution that is approved at once, so that one transaction stands for the three or four that it
// takes.
func (y *year) submit(n int, tx string, who ledger.Account, write writer) {
	pool := fmt.Sprintf("%s/pool-%d", rulestest.A, n%7)
	if len(y.sealed) < min(perSnapshot, y.transactions/4) {
		pool = y.pool
		y.sealed = append(y.sealed, id(n))
		write("contribution:Submit", ledger.NewKey("sealed", pool, id(n)), fmt.Sprintf(`{"position":%d,"first":1,"tx":"%s"}`, len(y.sealed)-1, tx))
	}
	write("contribution:Submit", contribution.Key(pool, id(n)), fmt.Sprintf(`{"datanet":"%s","id":"%s","mediaType":"text/plain","commitment":"%s","descriptor":"%s","records":1,"tokens":%d,`+
		`"provenance":{"method":"digitised","fromYear":1300,"toYear":1400,"languages":["fa"],"personalData":false},"fingerprint":{"epoch":1,"hmac":"%s"},"revision":1,"datanetVersion":1,`+
		`"contributor":"%s","eligible":["AMSP","BMSP"],"quorum":2,"slots":["AMSP","BMSP","CMSP"],"state":"approved","approval":true,"tx":"%s","endTx":"%s"}`,
		pool, id(n), rulestest.Hash, rulestest.Hash, 4+n%100, rulestest.Hash, who, tx, tx))
	for _, msp := range []string{"AMSP", "BMSP"} {
		write("contribution:Submit", ledger.NewKey("vote", pool, id(n), "000001", msp), fmt.Sprintf(`{"datanet":"%s","id":"%s","revision":1,"msp":"%s","validator":"%s:validator%d","choice":"approve","score":70,"reason":"sound","report":"%s","tx":"%s"}`,
			pool, id(n), msp, msp, n%20, rulestest.Hash, tx))
	}
}

// settle is a settlement of the market's model whose data part is paid.
func (y *year) settle(n int, tx string, write writer) {
	host := fmt.Sprintf("%s:host%d", rulestest.C, n%3+2)
	y.claims++
	write("claim:Settle", ledger.NewKey("claim", host, id(n)), fmt.Sprintf(`{"host":"%s","id":"%s","model":{"name":"%s","version":"%s","card":1},"card":"%s","sessions":1,"uses":100,"fees":"1000","data":"600",`+
		`"payments":[{"to":"%s","amount":"100"},{"to":"AMSP:platform1","amount":"50"},{"to":"AMSP:trainer1","amount":"150"},{"to":"pool:%s","amount":"100"}],"rest":"0","revisions":[],"attestors":["AMSP","BMSP"],"quorum":1,`+
		`"slots":["AMSP","BMSP","CMSP"],"state":"released","left":"0","paid":[],"settled":"2030-06-01T00:00:00Z","digest":"%s","tx":"%s"}`,
		host, id(n), y.story.Card.Name, y.story.Card.Version, y.story.Card.Digest, host, y.story.Pool, rulestest.Hash, tx))
	for _, msp := range []string{"AMSP", "BMSP"} {
		write("claim:Settle", ledger.NewKey("claim-slot", host, id(n), msp), fmt.Sprintf(`{"host":"%s","id":"%s","msp":"%s","by":"%s:validator1","tx":"%s"}`, host, id(n), msp, msp, tx))
	}
}

// others are a ticket that no model cites with its release, and a proposal.
func (y *year) others(n int, tx string, write writer) {
	trainer := fmt.Sprintf("%s:trainer%d", rulestest.B, n%11+2)
	write("ticket:Open", ledger.NewKey("ticket", id(n)), fmt.Sprintf(`{"id":"%s","trainer":"%s","purpose":"research","sources":[{"datanet":"%s","number":1,"revision":1,"root":"%s","records":1,"tokens":4,"versions":[1]}],`+
		`"state":"open","models":[],"digest":"%s","tx":"%s"}`, id(n), trainer, y.pool, rulestest.Hash, rulestest.Hash, tx))
	write("ticket:Open", ledger.NewKey("release", y.pool, id(n)), fmt.Sprintf(`{"datanet":"%s","id":"%s","snapshot":1,"to":"%s","reason":"training","ticket":"%s","by":"AMSP:operator1","tx":"%s"}`, y.pool, id(n), trainer, id(n), tx))
	write("ticket:Open", ledger.NewKey("released-snapshot", y.pool, "0000000001", id(n)), fmt.Sprintf(`{"release":"%s","snapshot":1,"by":"AMSP:operator1","to":"%s","reason":"training","tx":"%s"}`, id(n), trainer, tx))
	write("ticket:Open", ledger.NewKey("proposal", id(n)), fmt.Sprintf(`{"id":"%s","kind":"token.mint","params":{},"expires":"2031-01-01T00:00:00Z","digest":"%s","proposer":"AMSP:operator1","slots":["AMSP","BMSP","CMSP"],"state":"withdrawn","tx":"%s"}`, id(n), rulestest.Hash, tx))
	write("ticket:Open", ledger.NewKey("proposal-slot", id(n), "AMSP"), fmt.Sprintf(`{"proposal":"%s","msp":"AMSP","approver":"AMSP:operator2","tx":"%s"}`, id(n), tx))
}

// train seals the large datanet, takes its snapshot, and registers a model on it.
func (y *year) train(tx string, write writer) {
	const pageSize = 1024
	for page := 0; page*pageSize < len(y.sealed); page++ {
		var ids []byte
		for _, one := range y.sealed[page*pageSize : min((page+1)*pageSize, len(y.sealed))] {
			raw, err := hex.DecodeString(one)
			if err != nil {
				panic(err)
			}
			ids = append(ids, raw...)
		}
		value, err := ledger.Encode(map[string][]byte{"ids": ids})
		if err != nil {
			panic(err)
		}
		write("seal:Append", ledger.NewKey("page", y.pool, fmt.Sprintf("%08d", page)), string(value))
	}
	for _, kind := range []string{"datanet", "datanet-version"} {
		key := ledger.NewKey(kind, y.pool)
		if kind == "datanet-version" {
			key = ledger.NewKey(kind, y.pool, "0000000001")
		}
		write("datanet:Create", key, `{"name":"`+y.pool+`","version":1,"title":"Large","description":"","tags":["verse"],"modality":"text","licence":{"purposes":["commercial-service","research"],"derivativePpm":0},`+
			`"policy":{"validators":["AMSP","BMSP","CMSP"],"quorum":2,"maxDerivedPpm":100000,"dataPpm":600000,"validatorsPpm":100000,"tau":12,"attestationQuorum":1,"rest":"by-tokens"},"curator":"AMSP:curator1","slots":[],"tx":"`+tx+`","state":"active"}`)
	}
	taken := fmt.Sprintf(`{"datanet":"%s","number":1,"revision":1,"count":%d,"root":"%s","records":%d,"tokens":1000000,"terms":[{"version":1,"plain":%d,"own":0}],"pages":[],"erased":[],"slots":[],"taken":"%s","tx":"%s"}`,
		y.pool, len(y.sealed), rulestest.Hash, len(y.sealed), len(y.sealed), tx, tx)
	write("snapshot:Take", snapshot.Key(snapshot.Named{Datanet: y.pool, Number: 1}), taken)
	write("snapshot:Take", ledger.NewKey("snapshot-revision", y.pool, "0000000001", "000001"), taken)
	write("ticket:Open", ledger.NewKey("ticket", id(1)), fmt.Sprintf(`{"id":"%s","trainer":"AMSP:trainer1","purpose":"research","sources":[{"datanet":"%s","number":1,"revision":1,"root":"%s","records":1,"tokens":4,"versions":[1]}],"state":"used","models":["%s"],"digest":"%s","tx":"%s"}`,
		id(1), y.pool, rulestest.Hash, y.big, rulestest.Hash, tx))
	write("model:Register", model.Key(y.big), fmt.Sprintf(`{"name":"%s","version":"1","tickets":["%s"],"bases":[],"artifacts":["%s"],"manifest":"%s","purpose":"research","corpus":{"tokens":1000000,"distinct":1000,"digest":"%s"},"derivativePpm":0,`+
		`"developer":"AMSP:trainer1","lineage":[{"datanet":"%s","number":1,"revision":1,"root":"%s","tokens":1000000,"ticket":"%s"}],"ancestors":[],"upstream":[],"state":"registered","card":0,"slots":[],"digest":"%s","tx":"%s"}`,
		y.big.Name, id(1), rulestest.Hash, rulestest.Hash, rulestest.Hash, y.pool, rulestest.Hash, id(1), rulestest.Hash, tx))
}

// asking is a question, asked of another thing each time.
type asking struct {
	name string
	ask  func(ctx context.Context, a *question.Auditor, i int) (question.Answer, error)
}

func (y *year) questions() []asking {
	page := ledger.PageRequest{}
	submission := func(i int) int { return (i * 7919 % (y.transactions / 2)) * 2 }
	account := func(i int) ledger.Account {
		return ledger.NewAccount(rulestest.C, fmt.Sprintf("user%d", i*2%people))
	}
	return []asking{
		{"a model of two snapshots and a base", func(ctx context.Context, a *question.Auditor, _ int) (question.Answer, error) {
			return a.Model(ctx, y.story.Small, page)
		}},
		{"a model of 10,000 contributions, 100 of them", func(ctx context.Context, a *question.Auditor, i int) (question.Answer, error) {
			return a.Model(ctx, y.big, ledger.PageRequest{Cursor: fmt.Sprintf("0.%d", 1+i*37%(len(y.sealed)-1))})
		}},
		{"a contribution", func(ctx context.Context, a *question.Auditor, i int) (question.Answer, error) {
			return a.Contribution(ctx, contribution.Named{Datanet: y.pool, ID: y.sealed[i*31%len(y.sealed)]})
		}},
		{"an inference, by its receipt", func(ctx context.Context, a *question.Auditor, _ int) (question.Answer, error) {
			return a.Receipt(ctx, y.story.Receipt)
		}},
		{"a settlement", func(ctx context.Context, a *question.Auditor, _ int) (question.Answer, error) {
			return a.Claim(ctx, y.story.Settled)
		}},
		{"the whole year: counts, chain, 100 events", func(ctx context.Context, a *question.Auditor, _ int) (question.Answer, error) {
			return a.Period(ctx, question.PeriodOf{})
		}},
		{"a month of it", func(ctx context.Context, a *question.Auditor, i int) (question.Answer, error) {
			from := y.start.Add(time.Duration(i%11) * 30 * time.Second * time.Duration(y.transactions/12))
			return a.Period(ctx, question.PeriodOf{From: from, Until: from.Add(30 * time.Second * time.Duration(y.transactions/12))})
		}},
		{"a person, 20 contributions", func(ctx context.Context, a *question.Auditor, i int) (question.Answer, error) {
			return a.Person(ctx, account(i), page)
		}},
		{"fees of 100 settlements", func(ctx context.Context, a *question.Auditor, _ int) (question.Answer, error) {
			return a.Fees(ctx, question.FeesOf{})
		}},
		{"the supply", func(ctx context.Context, a *question.Auditor, _ int) (question.Answer, error) { return a.Supply(ctx) }},
		{"a transaction", func(ctx context.Context, a *question.Auditor, i int) (question.Answer, error) {
			return a.Transaction(ctx, fmt.Sprintf("%064x", submission(i)+1<<40), nil)
		}},
		{"roles of 100 accounts, breaches", func(ctx context.Context, a *question.Auditor, _ int) (question.Answer, error) {
			return a.Roles(ctx, "", page)
		}},
		{"released and never cited, 100 tickets", func(ctx context.Context, a *question.Auditor, _ int) (question.Answer, error) {
			return a.Unused(ctx, page)
		}},
		{"a snapshot of 10,000 contributions", func(ctx context.Context, a *question.Auditor, _ int) (question.Answer, error) {
			return a.Snapshot(ctx, snapshot.Named{Datanet: y.pool, Number: 1})
		}},
		{"the training summary of 10,000 contributions", func(ctx context.Context, a *question.Auditor, _ int) (question.Answer, error) {
			return a.Training(ctx, y.big)
		}},
	}
}
