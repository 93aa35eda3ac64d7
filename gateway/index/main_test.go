package index_test

import (
	"context"
	"os"
	"testing"

	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
)

// ctx is for reads in properties, which have no test's context.
var ctx = context.Background()

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
		return
	}
	databasetest.Main(m)
}
