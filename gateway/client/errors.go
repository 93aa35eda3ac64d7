package client

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Problem is a gateway's refusal or failure (RFC 9457).
type Problem struct {
	Type           string `json:"type"`
	Title          string `json:"title"`
	Status         int    `json:"status"`
	Detail         string `json:"detail,omitempty"`
	Code           string `json:"code"`
	Field          string `json:"field,omitempty"`
	Request        string `json:"request,omitempty"`
	Transaction    string `json:"transaction,omitempty"`
	ValidationCode string `json:"validationCode,omitempty"`
	Organisation   string `json:"organisation,omitempty"`
	Retryable      bool   `json:"retryable"`

	// RetryAfter is how long the gateway asks to wait, 0 if it does not say.
	RetryAfter time.Duration `json:"-"`
}

func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Code)
	b.WriteString(": ")
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(cmp.Or(p.Detail, p.Title))
	if p.Organisation != "" {
		b.WriteString(" (at " + p.Organisation + ")")
	}
	if p.Transaction != "" {
		b.WriteString(" (transaction " + p.Transaction + ")")
	}
	return b.String()
}

// IsCode tells whether an error is a problem of a code.
func IsCode(err error, code string) bool {
	var p *Problem
	return errors.As(err, &p) && p.Code == code
}

// UnknownError: a write was sent and its outcome is not known yet. The same call with Key finds it out and never writes
// twice.
type UnknownError struct {
	Key         string
	Transaction string // "" if even that is not known
	Cause       error
}

func (e *UnknownError) Error() string {
	text := "the outcome of the write is not known yet"
	if e.Transaction != "" {
		text = "the outcome of transaction " + e.Transaction + " is not known yet"
	}
	return fmt.Sprintf("%s (%v); repeat it with the idempotency key %s", text, e.Cause, e.Key)
}
func (e *UnknownError) Unwrap() error { return e.Cause }

// UnreachableError: the gateway could not be reached, or not be trusted, or the connection broke.
type UnreachableError struct {
	Gateway string
	Cause   error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("the gateway %s cannot be reached: %v", e.Gateway, e.Cause)
}
func (e *UnreachableError) Unwrap() error { return e.Cause }

// permanent failures are of trust: another attempt finds the same certificate.
func (e *UnreachableError) permanent() bool {
	var (
		verification *tls.CertificateVerificationError
		unknown      x509.UnknownAuthorityError
		host         x509.HostnameError
		record       tls.RecordHeaderError
		alert        tls.AlertError
	)
	return errors.As(e.Cause, &verification) || errors.As(e.Cause, &unknown) || errors.As(e.Cause, &host) ||
		errors.As(e.Cause, &record) || errors.As(e.Cause, &alert) || strings.Contains(e.Cause.Error(), "remote error: tls:")
}

func (c *Client) unreachable(err error) error {
	return &UnreachableError{Gateway: c.base.String(), Cause: advise(err)}
}

// advise adds what to do to the failures of trust.
func advise(err error) error {
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w; give the TLS authority of the gateway's organisation (--ca, or tlscacerts/ in the identity's folder)", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("%w; the gateway's certificate or this machine's clock is wrong", err)
	case strings.Contains(err.Error(), "tls: expired certificate"):
		return fmt.Errorf("%w; your own certificate has expired: ask an operator for a new invitation", err)
	case strings.Contains(err.Error(), "tls: bad certificate"), strings.Contains(err.Error(), "tls: unknown certificate authority"):
		return fmt.Errorf("%w; your certificate is not one of an organisation that this gateway knows", err)
	}
	return err
}
