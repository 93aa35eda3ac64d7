//go:build !linux

package databasetest

import "syscall"

// account is who the server runs as: elsewhere than on Linux, who runs the test.
type account struct{}

func serverUser() (account, error) { return account{}, nil }

func (account) own(string) error { return nil }

func (account) attributes() *syscall.SysProcAttr { return nil }
