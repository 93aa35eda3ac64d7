package demo

import (
	"bufio"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

// archive is the folder of what the people of the story keep to themselves. Nobody but its owner may read it.
//
//	people.json         whose account is whose
//	people/PART/        the identity of somebody who was invited: certificate and key, or an API key; see identityFolder
//	models/NAME/        the developer's: the artifact of a model and its training manifest
//	answers/ID.json     the consumers': prompt, output and receipt
//	handed-over/        what consumers show the regulator of their answers
//	bundle/             the regulator's: the ledger with contents and receipts, in clear
//	lock                held while the story is told
//
// Of contents only the regulator's bundle is here: the gateways hold them.
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

// enrolled is somebody who used an invitation.
type enrolled struct {
	Account ledger.Account `json:"account"`
	Folder  string         `json:"folder"`            // of the identity, under people/
	Custody bool           `json:"custody,omitempty"` // the gateway keeps the key
}

func (a archive) people() (map[string]enrolled, error) {
	people := map[string]enrolled{}
	content, err := a.read("people.json")
	if errors.Is(err, fs.ErrNotExist) {
		return people, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &people)
	}
	if err != nil {
		return nil, fmt.Errorf("who is who in %s: %w", a.folder, err)
	}
	return people, nil
}

func (a archive) keepPeople(people map[string]enrolled) error {
	return a.keepJSON("people.json", people)
}

func (a archive) path(name string) string { return filepath.Join(a.folder, name) }

// maxArchived bounds a file before it is read: who is who.
const maxArchived = 1 << 20

func (a archive) read(name string) ([]byte, error) {
	file, err := os.Open(a.path(name))
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

func (a archive) keepJSON(name string, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return a.keep(name, content)
}

// keep puts a file in place at once or not at all.
func (a archive) keep(name string, content []byte) error {
	return keep(a.path(name), content)
}

func keep(path string, content []byte) error {
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

// identityFolder is the folder of somebody's identity, as the command line has them: signcerts/cert.pem and
// keystore/key.pem, or api-key; tlscacerts/cert.pem is the authority of the gateway's certificate. The file env names
// them as variables of a shell.
type identityFolder string

func (a archive) identity(folder string) identityFolder {
	return identityFolder(filepath.Join(a.folder, "people", filepath.FromSlash(folder)))
}

const keyFile = "api-key"

// renewKey keeps a new key, in place of one for which no certificate ever came.
func (f identityFolder) renewKey(key crypto.Signer) error {
	if err := os.RemoveAll(filepath.Join(string(f), "keystore")); err != nil {
		return fmt.Errorf("remove a key without a certificate: %w", err)
	}
	return client.SaveKey(string(f), key)
}

// keep keeps what an enrolment gave.
func (f identityFolder) keep(gateway string, authority []byte, made identity.Enrolment) error {
	dir := string(f)
	env := [][2]string{{"GATEWAY", gateway}, {"CA", filepath.Join(dir, "tlscacerts", "cert.pem")}, {"ACCOUNT", string(made.Account)}}
	err := client.SaveRoots(dir, authority)
	if made.Token != "" {
		env = append(env, [2]string{"API_KEY", made.Token})
		err = errors.Join(err, keep(filepath.Join(dir, keyFile), []byte(made.Token+"\n")))
	} else {
		env = append(env, [2]string{"CERT", filepath.Join(dir, "signcerts", "cert.pem")}, [2]string{"KEY", filepath.Join(dir, "keystore", "key.pem")})
		err = errors.Join(err, client.SaveCertificate(dir, []byte(made.Certificate)))
	}
	var script strings.Builder
	for _, variable := range env {
		fmt.Fprintf(&script, "%s='%s'\n", variable[0], strings.ReplaceAll(variable[1], "'", `'\''`))
	}
	return errors.Join(err, keep(filepath.Join(dir, "env"), []byte(script.String())))
}

func (f identityFolder) token() (string, error) {
	file, err := os.Open(filepath.Join(string(f), keyFile))
	if err != nil {
		return "", fmt.Errorf("read an API key: %w", err)
	}
	defer file.Close()
	line, err := bufio.NewReader(io.LimitReader(file, 1<<10)).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read the API key in %s: %w", file.Name(), err)
	}
	return strings.TrimSpace(line), nil
}
