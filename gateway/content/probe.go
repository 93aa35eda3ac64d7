package content

import (
	"context"
	"errors"
	"fmt"
)

// Probe tells whether the bucket takes objects, gives them back and deletes them, with one of a few bytes. What a crash
// leaves of it, [Store.CleanUp] removes.
func (s *Store) Probe(ctx context.Context) error {
	object, text := objects+"probe-"+newID(), "datanet"
	if err := s.bucket.WriteAll(ctx, object, []byte(text), nil); err != nil {
		return fmt.Errorf("write into the content bucket: %w", err)
	}
	read, err := s.bucket.ReadAll(ctx, object)
	if err == nil && string(read) != text {
		err = errors.New("it gives back other bytes than it was given")
	}
	if err = errors.Join(err, s.bucket.Delete(ctx, object)); err != nil {
		return fmt.Errorf("read from the content bucket: %w", err)
	}
	return nil
}
