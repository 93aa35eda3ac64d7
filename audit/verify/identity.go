package verify

import (
	"slices"
	"sync"

	mspprotos "github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric/msp"
	"github.com/hyperledger/fabric/protoutil"
	"google.golang.org/protobuf/proto"
)

// identity is a certificate that was checked once.
type identity struct {
	msp.Identity
	err  error // it is not of the channel, or not valid
	peer bool  // it is valid, and a peer's
	name msp.IdentityIdentifier
}

// identity looks up who signed and checks the certificate, as peers do: whatever the date, since an expired certificate
// was good once.
func (c *configuration) identity(serialized []byte) *identity {
	return c.known.get(serialized, func() *identity {
		id := &identity{}
		if id.Identity, id.err = c.bundle.MSPManager().DeserializeIdentity(serialized); id.err == nil {
			id.err = id.Validate()
		}
		if id.err == nil {
			id.peer, id.name = id.isPeer(), *id.GetIdentifier()
		}
		return id
	})
}

func (id *identity) isPeer() bool {
	role, err := proto.Marshal(&mspprotos.MSPRole{MspIdentifier: id.GetMSPIdentifier(), Role: mspprotos.MSPRole_PEER})
	if err != nil {
		return false
	}
	return id.SatisfiesPrincipal(&mspprotos.MSPPrincipal{PrincipalClassification: mspprotos.MSPPrincipal_ROLE, Principal: role}) == nil
}

// signed checks a signature and that its signer is of the channel.
func (c *configuration) signed(s *protoutil.SignedData) error {
	id := c.identity(s.Identity)
	if id.err != nil {
		return id.err
	}
	return id.Verify(s.Data, s.Signature)
}

// buffers hold what endorsers signed while it is checked: the answer and the identity behind it lie apart.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// endorsers are the organisations whose peers signed, one for each identity, in the order of the endorsements. A signature
// that is not good, or no peer's, counts for nothing.
func (c *configuration) endorsers(t *transaction) []string {
	orgs := make([]string, 0, len(t.endorsements))
	seen := make([]msp.IdentityIdentifier, 0, len(t.endorsements))
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	data := append((*buffer)[:0], t.signedPart...)
	for _, e := range t.endorsements {
		id := c.identity(e.by)
		if id.err != nil || slices.Contains(seen, id.name) {
			continue
		}
		data = append(data[:len(t.signedPart)], e.by...)
		if id.Verify(data, e.signature) != nil {
			continue
		}
		seen = append(seen, id.name)
		if id.peer {
			orgs = append(orgs, id.name.Mspid)
		}
	}
	*buffer = data
	return orgs
}
