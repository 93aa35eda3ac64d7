package contract

import (
	"fmt"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/cid"
	"github.com/hyperledger/fabric-chaincode-go/v2/shim"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// enrolmentAttribute is where Fabric CA puts the enrolment id.
const enrolmentAttribute = "hf.EnrollmentID"

// store is a [ledger.Store] over the shim.
type store struct {
	stub   shim.ChaincodeStubInterface
	caller ledger.Caller
	time   time.Time
}

func newStore(stub shim.ChaincodeStubInterface, identity cid.ClientIdentity) (*store, error) {
	caller, err := caller(identity)
	if err != nil {
		return nil, err
	}
	stamp, err := stub.GetTxTimestamp()
	if err != nil {
		return nil, fmt.Errorf("read the proposal's timestamp: %w", err)
	}
	if err := stamp.CheckValid(); err != nil {
		return nil, ledger.Invalid("", "the proposal's timestamp is not valid: %v", err)
	}
	return &store{stub: stub, caller: caller, time: stamp.AsTime()}, nil
}

// caller reads organisation, enrolment and roles from the certificate. A certificate without enrolment id or with one
// that cannot be part of an account belongs to nobody.
func caller(identity cid.ClientIdentity) (ledger.Caller, error) {
	if identity == nil {
		return ledger.Caller{}, ledger.Refuse(ledger.CodeForbidden, "the proposal's creator is not an X.509 identity")
	}
	msp, err := identity.GetMSPID()
	if err != nil {
		return ledger.Caller{}, fmt.Errorf("read the creator's MSP ID: %w", err)
	}
	enrolment, ok, err := identity.GetAttributeValue(enrolmentAttribute)
	if err != nil {
		return ledger.Caller{}, fmt.Errorf("read the creator's enrolment id: %w", err)
	}
	if !ok {
		return ledger.Caller{}, ledger.Refuse(ledger.CodeForbidden, "the certificate has no enrolment id (attribute %s)", enrolmentAttribute)
	}
	if err := ledger.NewAccount(msp, enrolment).Validate(""); err != nil {
		return ledger.Caller{}, ledger.Refuse(ledger.CodeForbidden, "the certificate names no account: %v", err)
	}
	roles, _, err := identity.GetAttributeValue(ledger.RolesAttribute)
	if err != nil {
		return ledger.Caller{}, fmt.Errorf("read the creator's roles: %w", err)
	}
	return ledger.Caller{MSP: msp, Enrolment: enrolment, Roles: ledger.ParseRoles(roles)}, nil
}

func (s *store) TxID() string          { return s.stub.GetTxID() }
func (s *store) Channel() string       { return s.stub.GetChannelID() }
func (s *store) Time() time.Time       { return s.time }
func (s *store) Caller() ledger.Caller { return s.caller }

func (s *store) States(keys []ledger.Key) ([][]byte, error) {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = string(key)
	}
	values, err := s.stub.GetMultipleStates(names...)
	if err != nil {
		return nil, err
	}
	for i, value := range values {
		if len(value) == 0 {
			values[i] = nil
		}
	}
	return values, nil
}

func (s *store) KeyPolicy(key ledger.Key) (ledger.Policy, bool, error) {
	data, err := s.stub.GetStateValidationParameter(string(key))
	if err != nil || len(data) == 0 {
		return ledger.Policy{}, false, err
	}
	p, err := DecodePolicy(data)
	if err != nil {
		return ledger.Policy{}, false, fmt.Errorf("policy of %s: %w", key, err)
	}
	return p, true, nil
}

func (s *store) Range(prefix, from ledger.Key, limit int) ([]ledger.Entry, ledger.Key, error) {
	kind, parts, ok := prefix.Split()
	if !ok {
		return nil, "", fmt.Errorf("%q is not a prefix", prefix)
	}
	it, meta, err := s.stub.GetStateByPartialCompositeKeyWithPagination(kind, parts, int32(limit), string(from))
	if err != nil {
		return nil, "", err
	}
	defer it.Close()
	var entries []ledger.Entry
	for it.HasNext() {
		kv, err := it.Next()
		if err != nil {
			return nil, "", err
		}
		entries = append(entries, ledger.Entry{Key: ledger.Key(kv.Key), Value: kv.Value})
	}
	return entries, ledger.Key(meta.GetBookmark()), nil
}

// apply hands the outcome to the peer, its writes in one batch.
func apply(stub shim.ChaincodeStubInterface, out *ledger.Outcome) error {
	if out.Event != nil {
		if err := stub.SetEvent(out.Event.Name, out.Event.Payload); err != nil {
			return fmt.Errorf("set event: %w", err)
		}
	}
	if len(out.Writes) == 0 {
		return nil
	}
	stub.StartWriteBatch()
	for _, w := range out.Writes {
		if err := applyWrite(stub, w); err != nil {
			return fmt.Errorf("write %s: %w", w.Key, err)
		}
	}
	if err := stub.FinishWriteBatch(); err != nil {
		return fmt.Errorf("write batch: %w", err)
	}
	return nil
}

func applyWrite(stub shim.ChaincodeStubInterface, w ledger.Write) error {
	if w.Delete {
		return stub.DelState(string(w.Key))
	}
	if w.Value != nil {
		if err := stub.PutState(string(w.Key), w.Value); err != nil {
			return err
		}
	}
	if w.Policy != nil {
		data, err := EncodePolicy(*w.Policy)
		if err != nil {
			return err
		}
		return stub.SetStateValidationParameter(string(w.Key), data)
	}
	return nil
}
