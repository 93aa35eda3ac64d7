package use

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// Secret is what an organisation draws its samples with. It registers the commitment beforehand and reveals the secret
// later, so that nobody can foresee what it checks and everybody can see afterwards what it has checked.
type Secret [32]byte

// Commitment is what is registered of a secret: SHA-256 of the tag SAMPLING/1 and the secret.
func (s Secret) Commitment() merkle.Hash {
	return sha256.Sum256(append([]byte(samplingTag), s[:]...))
}

// All is the rate at which every use is drawn, in parts per million.
const All = 1_000_000

// Draws tells whether the secret draws a leaf of a settlement at a rate in parts per million: the first eight bytes of
// HMAC-SHA256 under the secret of "SAMPLE/1", scope, session and place, read as x, with ⌊x·10⁶/2⁶⁴⌋ below the rate. The
// place is counted from 0 in the session.
func (s Secret) Draws(rate uint32, scope, session merkle.Hash, place uint64) bool {
	mac := hmac.New(sha256.New, s[:])
	mac.Write([]byte(samplingLeaf))
	mac.Write(scope[:])
	mac.Write(session[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, place))
	drawn, _ := bits.Mul64(binary.BigEndian.Uint64(mac.Sum(nil)), All)
	return drawn < uint64(rate)
}
