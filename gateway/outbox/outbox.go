// Package outbox brings each write to the ledger exactly once.
//
// # Life of a write
//
// A caller names the write with an idempotency key. The outbox has it endorsed and signed, keeps the signed envelope on
// disk, and only then sends it. From there on it sends that same envelope until its outcome is known, after a restart
// too: all copies have one transaction id, and peers hold every copy but the first for a duplicate.
//
//	request ──endorse, sign──► envelope ──store──► submitted ──send──► ordered ──await──► outcome ──store──► committed | failed
//
// An envelope does not grow too old for the ledger (see [fabric.Envelope]), so a later one is made only when the earlier
// one's outcome is known and is that another transaction came first. It is made under the same names: every function of the ledger is
// safe to repeat, so that even a transaction which came twice, from a state restored from an old copy say, takes effect once.
//
// The same key again gets the same answer; with another request it is refused. What never reached the orderers is not
// remembered, and neither is it final that a transaction was invalid or refused by the orderers, which changed nothing:
// then the same key tries again.
//
// One process at a time works on a database; two would do no harm, but might send one request in two envelopes.
package outbox

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Request is one write. Key is unique for its account.
type Request struct {
	Account  ledger.Account
	Key      string // 1 to 255 printable ASCII characters
	Function string // "token:Transfer"
	Document []byte // at most [ledger.MaxDocument] bytes
}

// State says how far a write has come.
type State string

// The states.
const (
	Proposed  State = "proposed"  // its holder has to sign the proposal
	Endorsed  State = "endorsed"  // its holder has to sign the transaction
	Submitted State = "submitted" // the signed envelope is on disk and on its way; the outcome is not known yet
	Committed State = "committed"
	Failed    State = "failed" // it changed nothing; see Fault and Code
)

// CodeRefused is the code of a transaction that the orderers would not take because of who signed it.
const CodeRefused = "REFUSED"

// Entry is a write and what became of it.
type Entry struct {
	Account  ledger.Account
	Key      string
	Function string
	TxID     string // of the last attempt
	Attempt  int    // from 1: how many transactions it took so far
	State    State
	Response []byte // the function's answer, once committed
	Block    uint64 // of the last attempt, once it has an outcome
	// Fault is why the rules refused, and is final. Code is the validation code of an invalid transaction
	// ("MVCC_READ_CONFLICT"), or [CodeRefused]; the same key may be sent again then.
	Fault    *ledger.Fault
	Code     string
	Created  time.Time
	Updated  time.Time
	Repeated bool // the answer to an earlier request with this key
}

// Final tells whether the same key gets this answer for ever.
func (e Entry) Final() bool { return e.State == Committed || e.Fault != nil }

var (
	// ErrConflictingKey is a key that the account has used for another request.
	ErrConflictingKey = errors.New("the idempotency key was used for another request; choose a new key")
	// ErrPending is a request whose endorsement takes longer than the caller waits, even some seconds longer. Nothing is
	// submitted yet.
	ErrPending = errors.New("the request is still being endorsed; ask again with the same key")
	// ErrNone is a transaction that the account has not sent through this outbox, or so long ago that it is forgotten.
	ErrNone = errors.New("no such transaction of this account")
)

// Signer has calls endorsed and signs them for one account; [*fabric.Client] is one.
type Signer interface {
	Envelope(ctx context.Context, call fabric.Call) (fabric.Envelope, error)
}

// Service is the gateway's own client, which sends what others have signed and asks for outcomes; [*fabric.Client] is one.
type Service interface {
	Send(ctx context.Context, e fabric.Envelope) error
	Await(ctx context.Context, txID string) (block uint64, err error)
	ProposeFor(mspID string, certificate []byte, call fabric.Call) (fabric.Unsigned, error)
	EndorseSigned(ctx context.Context, proposal, signature []byte) (fabric.Unsigned, error)
}

// Options are what an outbox works with.
type Options struct {
	Service Service
	// Signer finds the client of an account whose key the gateway keeps. Its error is the answer to a request.
	Signer func(ctx context.Context, account ledger.Account) (Signer, error)
	// Keep is how long final outcomes are remembered; 0 is 30 days.
	Keep time.Duration
	Log  *slog.Logger     // nil: none
	Now  func() time.Time // nil: time.Now
}

const (
	// keep is the default of Options.Keep.
	keep = 30 * 24 * time.Hour
	// unsignedKeep is how long a holder has to sign.
	unsignedKeep = 24 * time.Hour
	// attempts bounds the transactions that one call makes of a request that loses against others.
	attempts = 8
	// endorsing bounds one endorsement, pause the wait before the next attempt times its number.
	endorsing = 30 * time.Second
	pause     = 50 * time.Millisecond
	// courtesy is how much longer than it asked for a caller waits for the transaction's id.
	courtesy = 5 * time.Second
	// MaxKey bounds an idempotency key, in bytes.
	MaxKey = 255
)

// patience is how long outcomes are waited for.
type patience struct {
	glance time.Duration // for that of an envelope that may have been sent before; peers answer at once for what is committed
	doubt  time.Duration // for that of one that was sent, before it is sent again
}

// Outbox is safe for concurrent use.
type Outbox struct {
	patience
	db      *database.DB
	options Options
	secret  []byte
	fail    func(Step)

	ctx     context.Context // of all work, ended by Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	saves chan saving

	mutex   sync.Mutex
	flights map[name]*flight
}

// name is what identifies an entry.
type name struct {
	account ledger.Account
	key     string
}

// Open makes the tables ready. Nothing is sent before [Outbox.Recover] or a request.
func Open(ctx context.Context, db *database.DB, options Options) (*Outbox, error) {
	if err := Prepare(ctx, db); err != nil {
		return nil, fmt.Errorf("open outbox: %w", err)
	}
	if options.Keep == 0 {
		options.Keep = keep
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	o := &Outbox{patience: patience{glance: time.Second, doubt: 20 * time.Second}, db: db, options: options, fail: failpoint, flights: map[name]*flight{}, saves: make(chan saving)}
	var err error
	if o.secret, err = readSecret(ctx, db); err != nil {
		return nil, fmt.Errorf("open outbox: %w", err)
	}
	o.ctx, o.cancel = context.WithCancel(context.WithoutCancel(ctx))
	o.running.Add(1)
	go o.saveTogether()
	return o, nil
}

// Close stops all work and waits for it. What has no outcome yet goes on after the next [Outbox.Recover].
func (o *Outbox) Close() {
	o.mutex.Lock()
	o.cancel()
	o.mutex.Unlock()
	o.running.Wait()
}

// Name is the name that a resource gets from an account's idempotency key where the caller gives none: 32 hexadecimal
// digits, always the same for the key, and not to be guessed by others, who might take it first.
func (o *Outbox) Name(account ledger.Account, key string) string {
	mac := hmac.New(sha256.New, o.secret)
	fmt.Fprintf(mac, "%d:%s%s", len(account), account, key)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

func readSecret(ctx context.Context, db *database.DB) (secret []byte, err error) {
	fresh := make([]byte, 32)
	rand.Read(fresh) // never fails
	err = db.InTx(ctx, func(tx *database.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO outbox_secret (id, secret) VALUES (1, ?) ON CONFLICT (id) DO NOTHING`, fresh); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT secret FROM outbox_secret WHERE id = 1`).Scan(&secret)
	})
	if err != nil {
		return nil, fmt.Errorf("read the secret of names: %w", err)
	}
	return secret, nil
}

func (r Request) validate() error {
	if err := r.Account.Validate("account"); err != nil {
		return err
	}
	if len(r.Key) == 0 || len(r.Key) > MaxKey {
		return ledger.Invalid("Idempotency-Key", "must have 1 to %d characters", MaxKey)
	}
	for _, c := range []byte(r.Key) {
		if c < 0x20 || c > 0x7e {
			return ledger.Invalid("Idempotency-Key", "must be printable ASCII")
		}
	}
	if len(r.Document) > ledger.MaxDocument {
		return ledger.Invalid("", "document of %d bytes exceeds the limit of %d", len(r.Document), ledger.MaxDocument)
	}
	return nil
}

func (r Request) name() name { return name{r.Account, r.Key} }

// digest tells requests apart that have the same key.
func (r Request) digest() [32]byte {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(r.Function))))
	h.Write([]byte(r.Function))
	h.Write(r.Document)
	return [32]byte(h.Sum(nil))
}
