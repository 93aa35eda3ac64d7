package rest

import (
	"reflect"
)

// Pending is a write whose outcome is not known yet.
type Pending struct {
	Transaction string `json:"transaction" doc:"The transaction's id."`
	State       string `json:"state" enum:"submitted" doc:"How far it has come."`
}

var pendingType = reflect.TypeFor[Pending]()
