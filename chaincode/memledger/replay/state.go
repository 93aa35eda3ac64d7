package replay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric/protoutil"

	"github.com/datanet-consortium/datanet/chaincode/contract"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
)

// stateTag begins a state that was written.
const stateTag = "DATANET-STATE/1\n"

// Kinds of records. A record is its kind and fields; a field is a length in 4 bytes, big-endian, and as many bytes.
const (
	recordEntry = 'e' // namespace and key with a zero byte between, value, key policy or nothing, version: block and place in 16 bytes
	recordID    = 'i' // the id of a transaction in a block so far
	recordEnd   = '.' // nothing follows
)

// maxField bounds a field: no value is larger than a block.
const maxField = 100 << 20

// Dump writes the state after the blocks so far, with the commit hash of the last one, so that another replay can go on
// from there. The same blocks give the same bytes: entries by key, then ids in order.
func (r *Replayer) Dump(out io.Writer, commit []byte) error {
	w := bufio.NewWriterSize(out, 1<<20)
	fields := func(kind byte, values ...[]byte) {
		_ = w.WriteByte(kind) // Flush tells of an error
		for _, value := range values {
			_, _ = w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(value))))
			_, _ = w.Write(value)
		}
	}
	_, _ = w.WriteString(stateTag)
	fields('h', binary.BigEndian.AppendUint64(nil, r.engine.Height()), commit)
	for _, e := range r.engine.State() {
		var policy []byte
		if e.Policy != nil {
			var err error
			if policy, err = contract.EncodePolicy(*e.Policy); err != nil {
				return fmt.Errorf("write the state: %w", err)
			}
		}
		version := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, e.Version.Block), e.Version.Tx)
		fields(recordEntry, []byte(e.Key), e.Value, policy, version)
	}
	for _, id := range r.engine.IDs() {
		fields(recordID, []byte(id))
	}
	fields(recordEnd)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}

// Restore reads what Dump wrote. The configuration is that in force before the next block.
func Restore(chaincode string, in io.Reader, configuration *common.Block) (r *Replayer, commit []byte, err error) {
	s := &stateReader{in: bufio.NewReaderSize(in, 1<<20)}
	if tag := s.bytes(len(stateTag)); s.err == nil && string(tag) != stateTag {
		s.err = errors.New("it does not begin as a state")
	}
	if s.kind() != 'h' && s.err == nil {
		s.err = errors.New("it does not say at which height")
	}
	height, commit := s.field(), s.field()
	if s.err == nil && len(height) != 8 {
		s.err = errors.New("its height is not a number")
	}
	r = New(chaincode)
	var entries []*memledger.Entry
	var ids []string
	for done := false; !done && s.err == nil; {
		switch kind := s.kind(); kind {
		case recordEntry:
			entries = append(entries, s.entry(r))
		case recordID:
			ids = append(ids, string(s.field()))
		case recordEnd:
			done = true
		default:
			s.fail(fmt.Errorf("a record of kind %q", kind))
		}
	}
	if _, err := s.in.ReadByte(); s.err == nil && !errors.Is(err, io.EOF) {
		s.err = errors.New("something follows its end")
	}
	if s.err != nil {
		return nil, nil, fmt.Errorf("read the state: %w", s.err)
	}
	r.private.whole = false
	r.engine = memledger.Resume(binary.BigEndian.Uint64(height), entries, ids)
	envelope, err := protoutil.ExtractEnvelope(configuration, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	payload, err := protoutil.UnmarshalPayload(envelope.GetPayload())
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	header, err := protoutil.UnmarshalChannelHeader(payload.GetHeader().GetChannelHeader())
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	return r, commit, r.channel.configure(header.GetChannelId(), payload.GetData())
}

// Height is the number of the next block.
func (r *Replayer) Height() uint64 { return r.engine.Height() }

type stateReader struct {
	in  *bufio.Reader
	err error
}

func (s *stateReader) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *stateReader) kind() byte {
	kind, err := s.in.ReadByte()
	if err != nil {
		s.fail(err)
	}
	return kind
}

func (s *stateReader) bytes(n int) []byte {
	if s.err != nil {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(s.in, int64(n))) // grows as it comes, whatever the length says
	if err == nil && len(data) < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		s.fail(err)
		return nil
	}
	return data
}

func (s *stateReader) field() []byte {
	length := s.bytes(4)
	if s.err != nil {
		return nil
	}
	n := binary.BigEndian.Uint32(length)
	if n > maxField {
		s.fail(fmt.Errorf("a field of %d bytes", n))
		return nil
	}
	return s.bytes(int(n))
}

func (s *stateReader) entry(r *Replayer) *memledger.Entry {
	key, value, policy, version := s.field(), s.field(), s.field(), s.field()
	if s.err == nil && (len(version) != 16 || len(value) == 0) {
		s.fail(fmt.Errorf("the entry %q has no value or no version", key))
	}
	if s.err != nil {
		return nil
	}
	e := &memledger.Entry{Key: ledger.Key(key), Value: value, Version: memledger.Version{Block: binary.BigEndian.Uint64(version), Tx: binary.BigEndian.Uint64(version[8:])}}
	if len(policy) > 0 {
		var err error
		if e.Policy, err = r.policies.read(policy); err != nil {
			s.fail(fmt.Errorf("the entry %q: %w", key, err))
		}
	}
	return e
}
