package index_test

import "context"

// ctx is for reads in properties, which have no test's context.
var ctx = context.Background()
