package demo

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/hyperledger/fabric/protoutil"

	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// patience is how long a peer may take to receive a block that another one has.
const patience = 30 * time.Second

// last is the number of the last block with a transaction of the story.
func (s *Story) last() uint64 { return s.height - 1 }

// blockHash waits for the story's last block on a witness' own peer, and returns the hash of its header.
func (s *Story) blockHash(ctx context.Context, witness *person) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	direct, err := s.peers.as(witness)
	if err != nil {
		return "", err
	}
	blocks, err := direct.Blocks(ctx, s.last())
	if err != nil {
		return "", fmt.Errorf("blocks of the peer of %s: %w", witness.account.MSP(), err)
	}
	block, ok := <-blocks
	if !ok {
		return "", fmt.Errorf("the peer of %s did not show block %d within %v: see its log with \"datanet network logs\"",
			witness.account.MSP(), s.last(), patience)
	}
	return hex.EncodeToString(protoutil.BlockHeaderHash(block.GetHeader())), nil
}

// books is what the whole ledger holds, as one peer tells it.
type books struct {
	minted, accounts, pools, sessions, claims, escrowed, redeemed money.Amount
	holders                                                       int
}

// balanced reports credits that were made or lost.
func (b books) balanced() error {
	held, err := money.Sum(b.accounts, b.pools, b.sessions, b.claims, b.escrowed, b.redeemed)
	if err == nil && held != b.minted {
		err = fmt.Errorf("%s were issued, and %s are held or redeemed", credits(b.minted), credits(held))
	}
	return err
}

// conserve adds up the ledger of every peer, the regulator's too, and compares them.
func (s *Story) conserve(ctx context.Context) error {
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	rows := [][]string{{"peer of", "issued", "accounts", "pools", "sessions", "claims", "escrow", "redeemed", fmt.Sprintf("hash of block %d", s.last())}}
	var first books
	var firstHash string
	for i, witness := range s.witnesses() {
		b, err := s.audit(ctx, witness)
		if err != nil {
			return err
		}
		hash, err := s.blockHash(ctx, witness)
		if err != nil {
			return err
		}
		rows = append(rows, []string{witness.account.MSP(), amount(b.minted), amount(b.accounts), amount(b.pools), amount(b.sessions), amount(b.claims),
			amount(b.escrowed), amount(b.redeemed), hash[:16] + "…"})
		if err := b.balanced(); err != nil {
			s.Out.Table(rows)
			return fmt.Errorf("peer of %s: %w", witness.account.MSP(), err)
		}
		if i == 0 {
			first, firstHash = b, hash
		}
		if b != first || hash != firstHash {
			s.Out.Table(rows)
			return fmt.Errorf("the peer of %s holds another ledger than that of %s", witness.account.MSP(), s.members[0])
		}
	}
	s.Out.Table(rows)
	s.Out.Held("On each of %d peers: issued = accounts + pools + sessions + claims + escrow + redeemed, over all %s and every pool. All have the same block %d.",
		len(rows)-1, document.Count(first.holders, "account"), s.last())
	return nil
}

// audit adds up everything on the peer of a witness.
func (s *Story) audit(ctx context.Context, witness *person) (b books, err error) {
	own := witness.account.MSP()
	direct, err := s.peers.as(witness)
	if err != nil {
		return b, err
	}
	add := func(to *money.Amount, more money.Amount) (err error) { *to, err = to.Add(more); return err }
	plainly := func(page ledger.PageRequest) any { return page }

	err = pages(ctx, direct, own, "token:Mints", plainly, func(m token.Minted) error { return add(&b.minted, m.Amount) })
	if err != nil {
		return b, err
	}
	members, err := fabric.Query[member.Members](ctx, direct, own, "member:List", ledger.Nothing{})
	if err != nil {
		return b, err
	}
	for _, msp := range members.Members {
		err := pages(ctx, direct, own, "account:List", func(page ledger.PageRequest) any { return account.Listing{MSP: msp, PageRequest: page} },
			func(a account.Account) error {
				held, err := s.held(ctx, direct, own, a.Account)
				if err != nil {
					return err
				}
				b.holders++
				if err := add(&b.accounts, held); err != nil {
					return err
				}
				return s.pending(ctx, direct, own, a.Account, &b)
			})
		if err != nil {
			return b, err
		}
	}
	err = pages(ctx, direct, own, "datanet:List", plainly, func(d datanet.Datanet) error {
		held, err := s.held(ctx, direct, own, ledger.PoolAccount(d.Name))
		if err != nil {
			return err
		}
		return add(&b.pools, held)
	})
	if err != nil {
		return b, err
	}
	err = pages(ctx, direct, own, "token:Redemptions", func(page ledger.PageRequest) any { return token.RedemptionListing{PageRequest: page} },
		func(r token.Redemption) error {
			switch r.State {
			case token.Escrowed:
				return add(&b.escrowed, r.Amount)
			case token.Paid:
				return add(&b.redeemed, r.Amount)
			}
			return nil // returned: the credits are in the account again
		})
	return b, err
}

// pending adds what an account's sessions have left, and what settlements of the account as host have not paid yet.
func (s *Story) pending(ctx context.Context, direct *fabric.Client, msp string, a ledger.Account, b *books) error {
	sessions := func(page ledger.PageRequest) any { return session.Listing{Account: a, PageRequest: page} }
	err := pages(ctx, direct, msp, "session:List", sessions, func(opened session.Session) error {
		detail, err := fabric.Query[session.Detail](ctx, direct, msp, "session:Get", opened.Named)
		if err != nil || detail.Tab.Closed {
			return err
		}
		if b.sessions, err = b.sessions.Add(detail.Tab.Funded - detail.Tab.Amount); err != nil {
			return err
		}
		funds := func(page ledger.PageRequest) any { return session.FundListing{Named: opened.Named, PageRequest: page} }
		return pages(ctx, direct, msp, "session:Funds", funds, func(f session.Fund) (err error) {
			if !f.Used {
				b.sessions, err = b.sessions.Add(f.Amount)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	claims := func(page ledger.PageRequest) any { return claim.Listing{Host: a, PageRequest: page} }
	return pages(ctx, direct, msp, "claim:List", claims, func(c claim.Claim) (err error) {
		b.claims, err = b.claims.Add(c.Left)
		return err
	})
}

// held asks an organisation's peer what an account has.
func (s *Story) held(ctx context.Context, direct *fabric.Client, msp string, a ledger.Account) (money.Amount, error) {
	h, err := fabric.Query[token.Holding](ctx, direct, msp, "token:Balance", token.Owned{Account: a})
	if err != nil {
		return 0, fmt.Errorf("balance of %s: %w", a, err)
	}
	if !h.More {
		return h.Balance.Add(h.Credits)
	}
	// More credits than a page holds: add them up page by page.
	total := h.Balance
	err = pages(ctx, direct, msp, "token:Credits", func(page ledger.PageRequest) any { return token.Listing{Account: a, PageRequest: page} },
		func(c token.Credit) (err error) { total, err = total.Add(c.Amount); return err })
	return total, err
}

// pages calls each for every item of a list, as an organisation's peer holds it.
func pages[Item any](ctx context.Context, direct *fabric.Client, msp, function string, request func(ledger.PageRequest) any, each func(Item) error) error {
	for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
		list, err := fabric.Query[ledger.Page[Item]](ctx, direct, msp, function, request(page))
		if err != nil {
			return fmt.Errorf("%s at the peer of %s: %w", function, msp, err)
		}
		for _, item := range list.Items {
			if err := each(item); err != nil {
				return fmt.Errorf("%s: %w", function, err)
			}
		}
		if list.Next == "" {
			return nil
		}
		page.Cursor = list.Next
	}
}
