package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// archive is the folder of what must not stand on a ledger: content, salts, names. Nobody but its owner may read it.
//
//	people.json                whose pseudonym is whose
//	fingerprint.json           the secret of the fingerprint epoch
//	contributions/ID.json      a dossier
//	reports/ID.json            what validators saw of a contribution
//	models/NAME                the artifact of a model
//	answers/ID.json            prompt, output and nonces of a receipt
//	lock                       held while the story is told
type archive struct {
	folder string
	lock   *flock.Flock
}

// openArchive makes the folder if it is absent and keeps others from it: two tellings at once would mistake each
// other's payments for their own.
func openArchive(folder string) (archive, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return archive{}, fmt.Errorf("make the folder of the story: %w", err)
	}
	a := archive{folder, flock.New(filepath.Join(folder, "lock"))}
	taken, err := a.lock.TryLock()
	if err != nil {
		return archive{}, fmt.Errorf("take the folder of the story: %w", err)
	}
	if !taken {
		return archive{}, fmt.Errorf("the story is being told on this network already: wait for its end")
	}
	return a, nil
}

func (a archive) close() error { return a.lock.Unlock() }

// enrolled is where somebody has an account.
type enrolled struct {
	MSP       string `json:"msp"`
	Enrolment string `json:"enrolment"`
}

func (a archive) people() (map[string]enrolled, error) {
	people := map[string]enrolled{}
	err := a.load("people.json", &people)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return people, err
}

func (a archive) keepPeople(people map[string]enrolled) error {
	return a.keepJSON("people.json", people)
}

// dossier is what a contribution's commitments open to: its records and what is told about them, each with its salt.
type dossier struct {
	Contributor    ledger.Account   `json:"contributor"`
	Records        [][]byte         `json:"records"`
	Salt           attribution.Salt `json:"salt"`
	Descriptor     []byte           `json:"descriptor"`
	DescriptorSalt attribution.Salt `json:"descriptorSalt"`
}

func (a archive) keepDossier(id string, d dossier) error {
	return a.keepJSON(filepath.Join("contributions", id+".json"), d)
}

func (a archive) dossier(id string) (d dossier, err error) {
	return d, a.load(filepath.Join("contributions", id+".json"), &d)
}

// maxArchived bounds a file before it is read: a corpus in base64.
const maxArchived = 64 << 20

func (a archive) read(name string) ([]byte, error) {
	file, err := os.Open(filepath.Join(a.folder, name))
	if err != nil {
		return nil, fmt.Errorf("read the story's archive: %w", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxArchived+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file.Name(), err)
	}
	if len(content) > maxArchived {
		return nil, fmt.Errorf("%s is larger than %d MiB: it is not of this story", file.Name(), maxArchived>>20)
	}
	return content, nil
}

func (a archive) load(name string, v any) error {
	content, err := a.read(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, v); err != nil {
		return fmt.Errorf("%s is damaged: %w", filepath.Join(a.folder, name), err)
	}
	return nil
}

func (a archive) keepJSON(name string, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return a.keep(name, content)
}

// keep puts a file in place at once or not at all.
func (a archive) keep(name string, content []byte) error {
	path := filepath.Join(a.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make a folder of the story: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
