package content

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/gateway/database"
)

// maxDescriptor bounds a descriptor as JSON, in bytes.
const maxDescriptor = 64 << 10

// Finish takes the records of an upload that is all there, draws the salts, and returns what the ledger is to be told,
// with the fingerprint under the secret of an epoch, which must be in the store. A repetition with the same descriptor
// is answered as done; when another epoch has come meanwhile, with the fingerprint of that.
func (s *Store) Finish(ctx context.Context, account ledger.Account, id string, d Descriptor, epoch contribution.Epoch) (Prepared, error) {
	descriptor, err := encode(d)
	if err != nil {
		return Prepared{}, invalid("descriptor", "must be text in UTF-8")
	}
	if len(descriptor) > maxDescriptor {
		return Prepared{}, invalid("descriptor", "has more than %d bytes", maxDescriptor)
	}
	c, err := s.owned(ctx, account, id)
	if err != nil {
		return Prepared{}, err
	}
	if c.State == Ready {
		return s.finished(ctx, c, descriptor, epoch)
	}
	if c.Received < c.Size {
		return Prepared{}, &OffsetError{Received: c.Received}
	}
	secret, err := s.Secret(ctx, epoch.Check)
	if err != nil {
		return Prepared{}, err
	}
	sum := secret.New()
	m, err := c.ingest(ctx, func(record []byte) error {
		sum.Add(record)
		return nil
	})
	if err != nil {
		return Prepared{}, err
	}
	if m.Records == 0 {
		return Prepared{}, invalid("files", "there is no record in them")
	}
	s.fail(stepRead)
	media, err := mediaType(c.dossier.Files)
	if err != nil {
		return Prepared{}, err
	}
	done := c.dossier
	rand.Read(done.Salt[:]) // never fails
	rand.Read(done.DescriptorSalt[:])
	done.Descriptor, done.Manifest = descriptor, m
	done.Prepared = Prepared{
		MediaType: media, Records: int64(m.Records), Tokens: m.Tokens,
		Commitment:  attribution.CommitRoot(done.Salt, m.Root).String(),
		Descriptor:  attribution.CommitDescriptor(done.DescriptorSalt, descriptor).String(),
		Fingerprint: contribution.Fingerprint{Epoch: epoch.Epoch, HMAC: sum.Sum()},
	}
	if err := s.ready(ctx, c, done, done.Prepared.Commitment); errors.Is(err, ErrFinished) {
		// Another request has finished it meanwhile.
		if c, err = s.owned(ctx, account, id); err != nil {
			return Prepared{}, err
		}
		return s.finished(ctx, c, descriptor, epoch)
	} else if err != nil {
		return Prepared{}, err
	}
	return done.Prepared, nil
}

// ready stores the dossier of a content whose records were read and open the commitment. What comes back from another member
// is the contributor's again.
func (s *Store) ready(ctx context.Context, c *Content, d dossier, commitment string) error {
	plain, err := encode(d)
	if err != nil {
		return err
	}
	sealed, err := c.key.seal(c.ID, plain)
	if err != nil {
		return err
	}
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		now := s.now().UnixMilli()
		n, err := rowsAffected(tx.ExecContext(ctx, `UPDATE content_items SET state = ?, replica = ?, commitment = ?, dossier = ?, updated = ?, verified = ? WHERE id = ? AND state = ?`,
			Ready, flag(c.Replica && c.Account.MSP() != s.options.Organisation), commitment, sealed, now, now, c.ID, Uploading))
		if err == nil && n == 0 {
			err = s.overtaken(ctx, tx, c.ID)
		}
		return err
	})
	if err == nil {
		s.fail(stepFinished)
	}
	return err
}

// finished answers a repetition.
func (s *Store) finished(ctx context.Context, c *Content, descriptor []byte, epoch contribution.Epoch) (Prepared, error) {
	if string(c.dossier.Descriptor) != string(descriptor) {
		return Prepared{}, ErrFinished
	}
	p := c.dossier.Prepared
	if p.Fingerprint.Epoch == epoch.Epoch {
		return p, nil
	}
	var err error
	p.Fingerprint, err = c.Fingerprint(ctx, epoch)
	return p, err
}

// Content is what the ledger is told: what was prepared, and what only the contributor knows.
func (p Prepared) Content(provenance contribution.Provenance, terms *licence.Licence) contribution.Content {
	return contribution.Content{MediaType: p.MediaType, Commitment: p.Commitment, Descriptor: p.Descriptor, Records: p.Records, Tokens: p.Tokens,
		Provenance: provenance, Fingerprint: p.Fingerprint, Licence: terms}
}

// Head is what another member needs beside the files' bytes to open the commitments.
type Head struct {
	Files          []File           `json:"files"`
	Rules          ingest.Rules     `json:"rules"`
	Salt           attribution.Salt `json:"salt"`
	DescriptorSalt attribution.Salt `json:"descriptorSalt"`
	Descriptor     []byte           `json:"descriptor"` // the bytes that were committed to
}

// Head is the content's head.
func (c *Content) Head() Head {
	d := c.dossier
	return Head{Files: d.Files, Rules: d.Rules, Salt: d.Salt, DescriptorSalt: d.DescriptorSalt, Descriptor: d.Descriptor}
}

func (h Head) check(limits ingest.Limits) (size int64, err error) {
	if len(h.Descriptor) > maxDescriptor {
		return 0, fmt.Errorf("the descriptor has %d bytes: %w", len(h.Descriptor), ErrMismatch)
	}
	var d Descriptor
	if err := decode(h.Descriptor, &d); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	if size, err = checkFiles(h.Files, h.Rules, limits); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	return size, nil
}
