package pki

import (
	"crypto/x509"
	"strings"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/attrmgr"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/network"
)

const (
	enrolmentAttribute   = "hf.EnrollmentID"
	typeAttribute        = "hf.Type"
	affiliationAttribute = "hf.Affiliation"
)

// attributeOID marks the extension with the attributes.
var attributeOID = attrmgr.AttrOID

// addAttributes writes the extension that Fabric CA writes, so that chaincode
// reads the certificates of either authority in the same way.
func addAttributes(template *x509.Certificate, enrolmentID, kind string, roles []network.Role) error {
	attrs := &attrmgr.Attributes{Attrs: map[string]string{
		enrolmentAttribute:   enrolmentID,
		typeAttribute:        kind,
		affiliationAttribute: "",
	}}
	if len(roles) > 0 {
		attrs.Attrs[ledger.RolesAttribute] = joinRoles(roles)
	}
	holder := &x509.Certificate{}
	if err := attrmgr.New().AddAttributesToCert(attrs, holder); err != nil {
		return err
	}
	template.ExtraExtensions = holder.Extensions
	return nil
}

// rolesOf is the value of the roles attribute, empty if there is none.
func rolesOf(cert *x509.Certificate) (string, error) {
	attrs, err := attrmgr.New().GetAttributesFromCert(cert)
	if err != nil {
		return "", err
	}
	return attrs.Attrs[ledger.RolesAttribute], nil
}

func joinRoles(roles []network.Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, ",")
}
