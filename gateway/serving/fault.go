package serving

import (
	"errors"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

// codes says as what the meter's refusals are told.
var codes = []struct {
	of   error
	code openai.Code
}{
	{meter.ErrUnknown, openai.CodeSessionUnknown},
	{meter.ErrExpired, openai.CodeSessionExpired},
	{meter.ErrEnded, openai.CodeSessionExpired},
	{meter.ErrMismatch, openai.CodeVoucher},
	{meter.ErrVoucher, openai.CodeVoucher},
	{use.ErrSignature, openai.CodeVoucher},
	{meter.ErrWindow, openai.CodeWindow},
	{meter.ErrFunds, openai.CodeFunds},
	{meter.ErrExposure, openai.CodeExposure},
	{meter.ErrBusy, openai.CodeBusy},
	{meter.ErrInProgress, openai.CodeInProgress},
	{meter.ErrConflict, openai.CodeConflict},
	{meter.ErrSettled, openai.CodeSettled},
	{meter.ErrNumbers, openai.CodeVoucher},
	{meter.ErrCap, openai.CodeCap},
}

// Fault is how a failure is told. What is the host's own affair says nothing of itself.
func Fault(err error) *openai.Error {
	if fault := new(openai.Error); errors.As(err, &fault) {
		return fault
	}
	for _, c := range codes {
		if errors.Is(err, c.of) {
			return openai.Refuse(c.code, "", "%v", err)
		}
	}
	return openai.Refuse(openai.CodeInternal, "", "something is wrong inside: the gateway's log says more")
}
