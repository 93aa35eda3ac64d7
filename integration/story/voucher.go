package story

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// spendingKey is a session's key by its name in the story.
func (r *run) spendingKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "%s/%s/key/%s", r.setting.Seed, r.script, name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// voucher is a voucher as stories write it.
type voucher struct {
	Session merkle.Hash  `json:"session"`
	Card    merkle.Hash  `json:"card"`
	N       uint64       `json:"n"`
	Amount  money.Amount `json:"amount"`
	Root    merkle.Hash  `json:"root"`
}

// compute does the commands that work something out beside the ledger.
func (r *run) compute(s step, words []string) (string, error) {
	document, err := r.fill(s.document)
	if err != nil {
		return "", err
	}
	switch words[0] {
	case "key":
		key, err := use.NewKey(r.spendingKey(words[1]).Public())
		return key.String(), err
	case "sign":
		var v voucher
		if err := ledger.Decode([]byte(document), &v); err != nil {
			return "", err
		}
		signature, err := use.Sign(r.spendingKey(words[2]), use.Voucher{Session: v.Session, Card: v.Card, N: v.N, Amount: uint64(v.Amount), Root: v.Root})
		return hex.EncodeToString(signature), err
	case "table":
		var page disbursement.Page
		if err := ledger.Decode([]byte(document), &page); err != nil {
			return "", err
		}
		digest, err := page.Digest()
		return digest.String(), err
	}
	var secret use.Secret
	if len(words[2]) != hex.EncodedLen(len(secret)) {
		return "", fmt.Errorf("a secret has %d bytes", len(secret))
	}
	_, err = hex.Decode(secret[:], []byte(words[2]))
	return secret.Commitment().String(), err
}
