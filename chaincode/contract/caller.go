package contract

import (
	"fmt"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/cid"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// creator is a proposal of which only the creator is known.
type creator []byte

func (c creator) GetCreator() ([]byte, error) { return c, nil }

// Caller reads the caller from a proposal's creator, a serialized identity, as the chaincode does when it is called. It
// does not check the certificate.
func Caller(serialized []byte) (ledger.Caller, error) {
	identity, err := cid.New(creator(serialized))
	if err != nil {
		return ledger.Caller{}, fmt.Errorf("read the creator: %w", err)
	}
	return caller(identity)
}
