package databasetest

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// account is who the server runs as: PostgreSQL refuses root.
type account struct {
	root     bool
	uid, gid uint32
}

func serverUser() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		var e error
		if u, e = user.Lookup("nobody"); e != nil {
			return account{}, errors.Join(err, e)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return account{}, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return account{}, err
	}
	return account{root: true, uid: uint32(uid), gid: uint32(gid)}, nil
}

func (a account) own(folder string) error {
	if !a.root {
		return nil
	}
	return os.Chown(folder, int(a.uid), int(a.gid))
}

// attributes also end the server with the test's process, however that ends.
func (a account) attributes() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
	if a.root {
		attributes.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attributes
}
