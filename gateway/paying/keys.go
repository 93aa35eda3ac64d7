package paying

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/network/secret"
)

// MaxUnused bounds the spending keys of an account that no session has named yet.
const MaxUnused = 100

// ErrKeys is an account that makes keys and opens no sessions with them.
var ErrKeys = fmt.Errorf("the account has %d spending keys that no session names: open sessions with those first", MaxUnused)

const (
	keyType       = "PRIVATE KEY"
	accountHeader = "Account"
	keySuffix     = ".pem"
	halfKey       = ".new-"
)

// spendingKey is one that this gateway holds.
type spendingKey struct {
	account ledger.Account
	public  use.Key
	private ed25519.PrivateKey
	used    bool // a session names it
}

// Keys are the spending keys of this gateway: a folder of mode 0700 with a file of mode 0600 for each, PKCS #8 in PEM
// whose header names the account. A key is on disk before anybody hears of it, and destroyed once its sessions have
// ended. It is safe for concurrent use by one process.
type Keys struct {
	dir string

	mutex sync.Mutex
	keys  map[string]*spendingKey // by the public key's text
}

// OpenKeys opens the folder and makes it if there is none. It refuses one that others may enter.
func OpenKeys(dir string) (*Keys, error) {
	if err := secret.MakeFolder(dir); err != nil {
		return nil, fmt.Errorf("open spending keys: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open spending keys: %w", err)
	}
	k := &Keys{dir: dir, keys: map[string]*spendingKey{}}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), halfKey) {
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("open spending keys: %w", err)
			}
			continue
		}
		key, err := readKey(path)
		if err != nil {
			return nil, fmt.Errorf("open spending key %s: %w", path, err)
		}
		k.keys[key.public.String()] = key
	}
	return k, nil
}

func readKey(path string) (*spendingKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != keyType {
		return nil, errors.New("it is no key in PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is no key in PKCS #8") // what x509 says may quote it
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("it is no Ed25519 key")
	}
	public, err := use.NewKey(private.Public())
	if err != nil {
		return nil, err
	}
	account := ledger.Account(block.Headers[accountHeader])
	return &spendingKey{account: account, public: public, private: private}, account.Validate("account")
}

// Make draws a key for an account.
func (k *Keys) Make(account ledger.Account) (use.Key, error) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	unused := 0
	for _, key := range k.keys {
		if key.account == account && !key.used {
			unused++
		}
	}
	if unused >= MaxUnused {
		return use.Key{}, ErrKeys
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return use.Key{}, fmt.Errorf("make a spending key: %w", err)
	}
	key := &spendingKey{account: account, private: private}
	if key.public, err = use.NewKey(public); err != nil {
		return use.Key{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return use.Key{}, fmt.Errorf("make a spending key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: keyType, Headers: map[string]string{accountHeader: string(account)}, Bytes: der})
	if err := k.write(key, text); err != nil {
		return use.Key{}, fmt.Errorf("make a spending key: %w", err)
	}
	k.keys[key.public.String()] = key
	return key.public, nil
}

func (k *Keys) path(key *spendingKey) string {
	return filepath.Join(k.dir, strings.ReplaceAll(key.public.String(), ":", "-")+keySuffix)
}

// write puts a key's file in place, whole and durably.
func (k *Keys) write(key *spendingKey, text []byte) (err error) {
	file, err := os.CreateTemp(k.dir, halfKey) // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), k.path(key))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return syncFolder(k.dir)
}

// of is the key of an account with this public half, if it is here. From now on it counts as used.
func (k *Keys) of(account ledger.Account, public use.Key) (ed25519.PrivateKey, bool) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	key := k.keys[public.String()]
	if key == nil || key.account != account {
		return nil, false
	}
	key.used = true
	return key.private, true
}

// destroy removes a key whose sessions have ended.
func (k *Keys) destroy(public use.Key) error {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	key := k.keys[public.String()]
	if key == nil {
		return nil
	}
	delete(k.keys, public.String())
	if err := os.Remove(k.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("destroy a spending key: %w", err)
	}
	return nil
}
