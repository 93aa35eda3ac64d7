package artifact

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"

	"github.com/datanet-consortium/datanet/attribution/text1"
	"github.com/datanet-consortium/datanet/chaincode/model"
)

// Digester sums up released records for the ledger. The digest is the SHA-256 of the tag CORPUS/1 and, for each record in
// the order of the download: the contribution's id (16 bytes), the record's number (u64), the text's length (u64) and the
// text; integers are big-endian. Records of several snapshots follow in the order in which the ticket names these.
type Digester struct {
	sum      hash.Hash
	tokens   int64
	distinct map[string]struct{}
}

const corpusTag = "CORPUS/1\x00\x00"

// NewDigester begins with no record.
func NewDigester() *Digester {
	d := &Digester{sum: sha256.New(), distinct: map[string]struct{}{}}
	d.sum.Write([]byte(corpusTag))
	return d
}

// Add adds a record of a contribution.
func (d *Digester) Add(contribution string, number int, text string) error {
	id, err := hex.DecodeString(contribution)
	if err != nil {
		return err
	}
	head := binary.BigEndian.AppendUint64(id, uint64(number))
	d.sum.Write(binary.BigEndian.AppendUint64(head, uint64(len(text))))
	d.sum.Write([]byte(text))
	s := text1.NewScanner([]byte(text))
	for s.Next() {
		d.tokens++
		d.distinct[string(s.Runes())] = struct{}{}
	}
	return nil
}

// Corpus is what the ledger is told.
func (d *Digester) Corpus() model.Corpus {
	return model.Corpus{Tokens: d.tokens, Distinct: int64(len(d.distinct)), Digest: hex.EncodeToString(d.sum.Sum(nil))}
}
