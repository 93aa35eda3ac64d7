package block

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"

	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// attributes is the certificate extension in which Fabric's authorities put attributes, as JSON.
var attributes = asn1.ObjectIdentifier{1, 2, 3, 4, 5, 6, 7, 8, 1}

const (
	enrolmentAttribute = "hf.EnrollmentID"
	maxCreators        = 10_000 // that a decoder remembers
)

// creator reads a serialized identity. Whatever cannot be read stays empty.
func (d *Decoder) creator(serialized []byte) Creator {
	if known, ok := d.creators[string(serialized)]; ok {
		return known
	}
	identity := &msp.SerializedIdentity{}
	if proto.Unmarshal(serialized, identity) != nil {
		return Creator{}
	}
	shown := attributesOf(identity.GetIdBytes())
	c := Creator{MSP: text(identity.GetMspid()), Enrolment: text(shown[enrolmentAttribute]), Roles: text(shown[ledger.RolesAttribute])}
	if len(d.creators) >= maxCreators {
		clear(d.creators)
	}
	d.creators[string(serialized)] = c
	return c
}

func attributesOf(certificate []byte) map[string]string {
	block, _ := pem.Decode(certificate)
	if block == nil {
		return nil
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	for _, extension := range parsed.Extensions {
		if extension.Id.Equal(attributes) {
			var content struct {
				Attributes map[string]string `json:"attrs"`
			}
			if json.Unmarshal(extension.Value, &content) != nil {
				return nil
			}
			return content.Attributes
		}
	}
	return nil
}
