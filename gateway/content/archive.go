package content

import (
	"archive/tar"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/minio/sio"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// A backup is one file:
//
//	"DATANET-BACKUP/1"   id 16   key 80: wrapped by the master key of then   a tar archive, encrypted by DARE 2.0 under that key
//
// So without the file of master keys nobody reads or alters it. In the archive, whose keys are still wrapped one by one:
//
//	head                  JSON of archiveHead
//	more/KIND             what the gateway keeps in it besides, several times
//	secret/CHECK          the wrapped secret of a fingerprint epoch
//	tombstones            JSON of []grave, several times
//	item/ID               JSON of archivedItem, and then, when the backup holds blobs,
//	  object/ID/RANDOM      the item's objects as they lie in the bucket
//	  void/ID               when the item was erased meanwhile: it is not to be restored
//	end                   JSON of archiveEnd; without it the archive is cut off
var pieceKind = regexp.MustCompile(`^[a-z]{1,32}$`)

const (
	backupMagic    = "DATANET-BACKUP/1"
	maxArchiveJSON = 32 << 20
)

type archiveHead struct {
	Blobs bool `json:"blobs"`
}

type archiveEnd struct {
	Items int64 `json:"items"` // void ones included
}

type grave struct {
	Item         string `json:"item,omitzero"`
	Datanet      string `json:"datanet,omitzero"`
	Contribution string `json:"contribution,omitzero"`
	Erased       int64  `json:"erased"` // milliseconds since 1970
}

// archivedItem is a row of the database with its parts.
type archivedItem struct {
	ID         string             `json:"id"`
	Replica    bool               `json:"replica,omitzero"`
	Account    ledger.Account     `json:"account"`
	Place      contribution.Named `json:"place,omitzero"`
	Commitment string             `json:"commitment"`
	Size       int64              `json:"size"`
	PartSize   int64              `json:"partSize"`
	Key        []byte             `json:"key"` // wrapped
	KeyVersion int64              `json:"keyVersion"`
	Dossier    []byte             `json:"dossier"` // sealed
	Created    time.Time          `json:"created"`
	Updated    time.Time          `json:"updated"`
	Parts      []part             `json:"parts"`
}

func archived(r row, parts []part) archivedItem {
	return archivedItem{ID: r.ID, Replica: r.Replica, Account: r.Account, Place: r.Place, Commitment: r.Commitment, Size: r.Size, PartSize: r.partSize,
		Key: r.wrapped, KeyVersion: r.keyVersion, Dossier: r.dossier, Created: r.Created, Updated: r.Updated, Parts: parts}
}

func (a archivedItem) row() row {
	return row{Info: Info{ID: a.ID, Replica: a.Replica, Account: a.Account, Place: a.Place, Commitment: a.Commitment, State: Ready, Size: a.Size,
		Received: a.Size, Created: a.Created, Updated: a.Updated},
		partSize: a.PartSize, wrapped: a.Key, keyVersion: a.KeyVersion, dossier: a.Dossier}
}

var errArchive = errors.New("the backup is damaged")

// check refuses an item that no store has written.
func (a archivedItem) check() error {
	size := int64(0)
	for i, p := range a.Parts {
		object, ok := strings.CutPrefix(p.Object, objects+a.ID+"/")
		if !ok || ledger.ValidID("object", object) != nil || p.Number != int64(i) || p.Size < 1 || p.Size > a.PartSize {
			return errArchive
		}
		if i < len(a.Parts)-1 && p.Size != a.PartSize {
			return errArchive
		}
		size += p.Size
	}
	version, _, err := parseWrapped(a.Key)
	switch {
	case err != nil, int64(version) != a.KeyVersion, size != a.Size, size < 1:
		return errArchive
	case ledger.ValidID("id", a.ID) != nil, ledger.ValidDigest("commitment", a.Commitment) != nil, a.Account.Validate("account") != nil:
		return errArchive
	case a.Place != (contribution.Named{}) && a.Place.Validate() != nil:
		return errArchive
	}
	return nil
}

// An archiver takes what is read from an archive.
type archiver interface {
	// piece is something of the gateway's.
	piece(kind string, data []byte) error
	secret(check string, wrapped []byte) error
	tombstones([]grave) error
	// item begins an item; the one before it is complete.
	item(archivedItem) error
	// object is one of the item that was begun last; what it does not read of it is skipped.
	object(p part, data io.Reader) error
	// void takes back the item that was begun last.
	void()
}

// readArchive reads an archive in order. Whatever the bytes, it keeps no more than an item in memory.
func readArchive(in io.Reader, to archiver) error {
	archive := tar.NewReader(in)
	begun, items := false, int64(0)
	var current archivedItem
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return fmt.Errorf("%w: it is cut off", errArchive)
		}
		if err != nil {
			return archiveError(err)
		}
		kind, name, _ := strings.Cut(header.Name, "/")
		if begun == (kind == "head") || header.Typeflag != tar.TypeReg {
			return errArchive
		}
		switch kind {
		case "head":
			var head archiveHead
			err, begun = readJSON(archive, header, &head), true
		case "more":
			if !pieceKind.MatchString(name) || header.Size > maxArchiveJSON || items > 0 {
				return errArchive
			}
			var data []byte
			if data, err = io.ReadAll(archive); err == nil {
				err = to.piece(name, data)
			}
		case "secret":
			var wrapped []byte
			if ledger.ValidDigest("check", name) != nil || header.Size != wrappedSize {
				return errArchive
			}
			if wrapped, err = io.ReadAll(archive); err == nil {
				err = to.secret(name, wrapped)
			}
		case "tombstones":
			var graves []grave
			if err = readJSON(archive, header, &graves); err == nil {
				err = to.tombstones(graves)
			}
		case "item":
			current = archivedItem{}
			if err = readJSON(archive, header, &current); err == nil {
				if err = current.check(); err == nil && current.ID != name {
					err = errArchive
				}
			}
			if err == nil {
				err = to.item(current)
			}
			items++
		case "object":
			err = errArchive
			for _, p := range current.Parts {
				if p.Object != path.Join(objects, name) {
					continue
				}
				if size, sizeErr := p.sealedSize(); sizeErr == nil && header.Size == size {
					err = to.object(p, archive)
				}
				break
			}
		case "void":
			if current.ID == "" || name != current.ID {
				return errArchive
			}
			to.void()
		case "end":
			var end archiveEnd
			if err := readJSON(archive, header, &end); err != nil {
				return err
			}
			if end.Items != items {
				return errArchive
			}
			// What follows is padding; reading it has the encryption's end checked.
			if _, err := io.Copy(io.Discard, in); err != nil {
				return archiveError(err)
			}
			return nil
		default:
			return errArchive
		}
		if err != nil {
			return archiveError(err)
		}
	}
}

func readJSON(in io.Reader, header *tar.Header, v any) error {
	if header.Size > maxArchiveJSON {
		return errArchive
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return archiveError(err)
	}
	if err := decode(data, v); err != nil {
		return fmt.Errorf("%w: %w", errArchive, err)
	}
	return nil
}

// archiveError tells bytes that are not authentic, or no archive, from other failures.
func archiveError(err error) error {
	var unauthentic sio.Error
	if errors.As(err, &unauthentic) || errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", errArchive, err)
	}
	return err
}

// readBackupHead reads what stands in clear before the archive.
func readBackupHead(in io.Reader) (id string, wrapped []byte, err error) {
	head := make([]byte, len(backupMagic)+16+wrappedSize)
	if _, err := io.ReadFull(in, head); err != nil || string(head[:len(backupMagic)]) != backupMagic {
		return "", nil, errors.New("it is no backup of a content store")
	}
	head = head[len(backupMagic):]
	return hex.EncodeToString(head[:16]), head[16:], nil
}
