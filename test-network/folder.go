package testnetwork

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/datanet-consortium/datanet/test-network/binaries"
)

// format is the version of the layout below. It changes when an older folder could not be resumed.
const format = 2

// folder is the state folder of one network:
//
//	version            layout and Fabric release that the folder was made with
//	lock               held by the process that runs the network
//	topology.yaml      the consortium as it was founded
//	current.yaml       the consortium as it is: with members that joined and the chaincode definition in force
//	upgrading.json     the chaincode definition that is about to come into force
//	ports.json         the ports chosen for listeners that the topology leaves open
//	genesis.block      the channel's first block
//	crypto/ORG/        keys and certificates
//	builder/bin/       the external builder of all peers
//	nodes/NAME/        of each process its settings, its log and its data
//	supervisor.log     what the process that runs the network reported
//	control.sock       where it takes commands
type folder string

func (f folder) version() string      { return f.join("version") }
func (f folder) lock() string         { return f.join("lock") }
func (f folder) founded() string      { return f.join("topology.yaml") }
func (f folder) current() string      { return f.join("current.yaml") }
func (f folder) upgrading() string    { return f.join("upgrading.json") }
func (f folder) ports() string        { return f.join("ports.json") }
func (f folder) genesis() string      { return f.join("genesis.block") }
func (f folder) crypto() string       { return f.join("crypto") }
func (f folder) builder() string      { return f.join("builder") }
func (f folder) node(n string) string { return f.join("nodes", n) }
func (f folder) log(n string) string  { return f.join("nodes", n, "log") }
func (f folder) data(n string) string { return f.join("nodes", n, "data") }

func (f folder) join(names ...string) string {
	return filepath.Join(append([]string{string(f)}, names...)...)
}

// stamp is the content of the file "version".
type stamp struct {
	Format int    `json:"format"`
	Fabric string `json:"fabric"`
}

// release is the minor release of a Fabric version, "3.1" of "3.1.1"; patches share their data formats.
func release(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// openFolder checks that dir is a state folder which this program can resume.
func openFolder(dir string) (folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the state folder: %w", err)
	}
	f := folder(dir)
	content, err := readFile(f.version())
	if errors.Is(err, os.ErrNotExist) {
		return "", &NoNetworkError{Dir: dir}
	}
	if err != nil {
		return "", err
	}
	var found stamp
	if err := json.Unmarshal(content, &found); err != nil {
		return "", fmt.Errorf("%s is damaged (%w): remove the folder, or choose another one", f.version(), err)
	}
	if found.Format != format || release(found.Fabric) != release(binaries.Version) {
		return "", fmt.Errorf("%s holds a network of another version (layout %d with Fabric %s, this program has layout %d with Fabric %s): "+
			"remove it with \"datanet network down --clean --dir %s\", or choose another folder",
			dir, found.Format, found.Fabric, format, binaries.Version, dir)
	}
	return f, nil
}

// makeFolder opens the state folder dir and makes it first if it is absent or empty.
func makeFolder(dir string) (folder, error) {
	f, err := openFolder(dir)
	var none *NoNetworkError
	if !errors.As(err, &none) {
		return f, err
	}
	f = folder(none.Dir)
	entries, err := os.ReadDir(none.Dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return "", fmt.Errorf("look into the state folder: %w", err)
	case len(entries) > 0:
		return "", fmt.Errorf("%s is not empty and not a state folder of a local network: choose another folder", none.Dir)
	}
	if err := os.MkdirAll(none.Dir, 0o700); err != nil {
		return "", fmt.Errorf("make the state folder: %w", err)
	}
	content, err := json.Marshal(stamp{Format: format, Fabric: binaries.Version})
	if err != nil {
		return "", fmt.Errorf("encode the version of the state folder: %w", err)
	}
	if err := writeFile(f.version(), content); err != nil {
		return "", err
	}
	return f, nil
}

// Prepare makes the state folder dir, which must be absent, empty or a state folder already.
func Prepare(dir string) error {
	_, err := makeFolder(dir)
	return err
}

// NoNetworkError says that a folder holds no network.
type NoNetworkError struct{ Dir string }

func (e *NoNetworkError) Error() string {
	return fmt.Sprintf("there is no local network in %s: start one with \"datanet network up\", or name its folder with --dir", e.Dir)
}

// Clean removes the state folder dir. It refuses a folder that is not one, of whatever version, and one in use.
func Clean(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find the state folder: %w", err)
	}
	f := folder(dir)
	content, err := readFile(f.version())
	if errors.Is(err, os.ErrNotExist) {
		return &NoNetworkError{Dir: dir}
	}
	if err != nil {
		return err
	}
	var found stamp
	if json.Unmarshal(content, &found) != nil || found.Format == 0 {
		return fmt.Errorf("%s does not look like a state folder of a local network: remove it yourself if it is one", dir)
	}
	lock, err := f.take()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the state folder: %w", err)
	}
	return nil
}

// maxFile bounds in bytes what is read of a file in the state folder.
const maxFile = 16 << 20

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open a file of the state folder: %w", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return content, nil
}

// writeFile puts the content in place at once or not at all.
func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return explainDisk(fmt.Errorf("make the folder of %s: %w", path, err))
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return explainDisk(fmt.Errorf("write %s: %w", path, err))
	}
	defer os.Remove(file.Name())
	_, err = file.Write(content)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return explainDisk(fmt.Errorf("write %s: %w", path, err))
	}
	return nil
}

// explainDisk adds what to do to an error of a full disk.
func explainDisk(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("the disk is full: make room, or choose a state folder on another disk: %w", err)
	}
	return err
}
