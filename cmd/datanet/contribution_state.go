package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/datanet-consortium/datanet/gateway/client"
)

// stateName is the state file of additions to a datanet, hidden so that it is no content itself.
func stateName(datanet string) string {
	return ".datanet-add-" + strings.ReplaceAll(datanet, "/", "-") + ".jsonl"
}

// journal remembers what became of each unit of a folder: one line of JSON for each step, appended and on the disk
// before the step is taken, so that whatever interrupts the command leaves at most a broken last line. Two commands at a
// time on one folder do no harm but double work: the ledger refuses content that is registered.
type journal struct {
	path   string
	mutex  sync.Mutex
	file   *os.File
	byName map[string]record
}

// record is what is remembered of a unit. The names are drawn before anything is sent, so every step can be repeated.
type record struct {
	Name        string `json:"name"`
	Digest      string `json:"digest"` // SHA-256 of names, sizes and bytes of its files
	Upload      string `json:"upload"`
	ID          string `json:"id"` // of the contribution
	Transaction string `json:"transaction,omitempty"`
}

type header struct {
	Datanet string `json:"datanet"`
}

// maxJournal bounds a state file, in bytes: a million units.
const maxJournal = 512 << 20

func openJournal(path, datanet string) (*journal, error) {
	j := &journal{path: path, byName: map[string]record{}}
	if err := j.load(datanet); err != nil {
		j.close()
		return nil, fmt.Errorf("state file %s: %w", path, err)
	}
	return j, nil
}

func (j *journal) load(datanet string) (err error) {
	if j.file, err = os.OpenFile(j.path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(j.file, maxJournal+1))
	if err != nil {
		return err
	}
	if len(text) > maxJournal {
		return fmt.Errorf("larger than %d bytes", maxJournal)
	}
	records, whole, err := readJournal(text, datanet)
	if err != nil {
		return err
	}
	j.byName = records
	if err := j.file.Truncate(int64(whole)); err != nil {
		return err
	}
	if _, err := j.file.Seek(int64(whole), io.SeekStart); err != nil {
		return err
	}
	if whole == 0 {
		return j.append(header{Datanet: datanet})
	}
	return nil
}

// readJournal reads the whole lines of a state file and tells where they end.
func readJournal(text []byte, datanet string) (records map[string]record, whole int, err error) {
	records = map[string]record{}
	for number := 1; ; number++ {
		end := strings.IndexByte(string(text[whole:min(len(text), whole+1<<20)]), '\n')
		if end < 0 {
			return records, whole, nil
		}
		line := text[whole : whole+end]
		if number == 1 {
			var h header
			if json.Unmarshal(line, &h) != nil || h.Datanet != datanet {
				return nil, 0, fmt.Errorf("it is not one of additions to %s", datanet)
			}
		} else {
			var r record
			if json.Unmarshal(line, &r) != nil || r.Name == "" || len(r.ID) != 32 || len(r.Upload) != 32 {
				return nil, 0, fmt.Errorf("line %d cannot be read", number)
			}
			records[r.Name] = r
		}
		whole += end + 1
	}
}

func (j *journal) append(value any) error {
	line, err := json.Marshal(value)
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write the state file %s: %w", j.path, err)
	}
	return nil
}

// settled tells whether a unit is registered with the bytes that it has now.
func (j *journal) settled(folder string, u unit) (bool, error) {
	j.mutex.Lock()
	r, known := j.byName[u.name]
	j.mutex.Unlock()
	if !known || r.Transaction == "" {
		return false, nil
	}
	digest, err := digestOf(folder, u.files)
	if err != nil {
		return false, err
	}
	if digest != r.Digest {
		return false, fmt.Errorf("it has changed since it was registered as %s; use datanet contribution revise, or another name", r.ID)
	}
	return true, nil
}

// begin remembers a unit before anything of it is sent. A unit that has changed since begins anew.
func (j *journal) begin(folder string, u unit) (record, error) {
	digest, err := digestOf(folder, u.files)
	if err != nil {
		return record{}, err
	}
	j.mutex.Lock()
	defer j.mutex.Unlock()
	if r, known := j.byName[u.name]; known && r.Digest == digest {
		return r, nil
	}
	r := record{Name: u.name, Digest: digest, Upload: client.NewID(), ID: client.NewID()}
	j.byName[u.name] = r
	return r, j.append(r)
}

// done remembers that a unit is registered.
func (j *journal) done(name, transaction string) error {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	r := j.byName[name]
	r.Transaction = transaction
	j.byName[name] = r
	return j.append(r)
}

func (j *journal) close() {
	if j.file != nil {
		_ = j.file.Close() // every line was synced
	}
}

func digestOf(folder string, files []client.File) (string, error) {
	sum := sha256.New()
	for _, f := range files {
		fmt.Fprintf(sum, "%d %s %d\n", len(f.Name), f.Name, f.Bytes)
		file, err := os.Open(filepath.Join(folder, filepath.FromSlash(f.Name)))
		if err != nil {
			return "", err
		}
		n, err := io.Copy(sum, file)
		if err = errors.Join(err, file.Close()); err != nil {
			return "", err
		}
		if n != f.Bytes {
			return "", fmt.Errorf("%s is being changed", f.Name)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func openFiles(folder string, files []client.File) *client.Joined {
	return client.Join(files, func(i int) (client.Opened, error) {
		return os.Open(filepath.Join(folder, filepath.FromSlash(files[i].Name)))
	})
}
