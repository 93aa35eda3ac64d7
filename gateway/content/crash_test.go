//go:build unix

package content_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
)

// The environment of a child process that runs the story in a folder and kills itself at a step, "" for none.
const (
	crashFolder = "CONTENT_TEST_FOLDER"
	crashStep   = "CONTENT_TEST_STEP"
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(crashFolder); folder != "" {
		if err := story(context.Background(), folder, os.Getenv(crashStep)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	keptID   = "00000000000000000000000000000001"
	erasedID = "00000000000000000000000000000002"
)

var (
	keptPlace   = contribution.Named{Datanet: "AMSP/verse", ID: "0000000000000000000000000000000a"}
	erasedPlace = contribution.Named{Datanet: "AMSP/verse", ID: "0000000000000000000000000000000b"}
	storyText   = poems(40)
)

// story uploads two contents in small pieces, erases one of them and rotates the master keys. It may be told again after
// a crash at any moment, and then ends where it would have ended.
func story(ctx context.Context, folder, crashAt string) error {
	s, closeAll, err := storyStore(ctx, folder)
	if err != nil {
		return err
	}
	defer closeAll()
	s.FailAt(crashAt, func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			panic(err)
		}
		select {}
	})
	infos, err := s.List(ctx, content.Held{Limit: 10})
	if err != nil {
		return err
	}
	epoch := contribution.Epoch{Epoch: 1}
	secretFile := filepath.Join(folder, "check")
	if check, err := os.ReadFile(secretFile); err == nil {
		epoch.Check = string(check)
	} else {
		if len(infos) > 0 {
			return errors.New("contents before a secret")
		}
		if epoch.Check, err = s.DrawSecret(ctx); err != nil {
			return err
		}
		if err := os.WriteFile(secretFile, []byte(epoch.Check), 0o600); err != nil {
			return err
		}
	}
	for id, place := range map[string]contribution.Named{keptID: keptPlace, erasedID: erasedPlace} {
		if err := tell(ctx, s, id, place, epoch); err != nil && !(id == erasedID && errors.Is(err, content.ErrErased)) {
			return err
		}
	}
	if err := s.Erase(ctx, erasedPlace); err != nil {
		return err
	}
	_, err = s.RotateMaster(ctx)
	return err
}

func tell(ctx context.Context, s *content.Store, id string, place contribution.Named, epoch contribution.Epoch) error {
	u := split(content.File{Name: "a.txt", Bytes: int64(len(storyText))})
	u.ID = id
	info, err := s.Begin(ctx, ann, u)
	for err == nil && info.Received < info.Size {
		end := min(info.Received+700, info.Size)
		info, err = s.Append(ctx, ann, id, info.Received, strings.NewReader(storyText[info.Received:end]))
	}
	if err != nil {
		return err
	}
	if _, err := s.Finish(ctx, ann, id, content.Descriptor{Author: "Ann"}, epoch); err != nil {
		return err
	}
	return s.Assign(ctx, ann, id, place)
}

func storyStore(ctx context.Context, folder string) (*content.Store, func(), error) {
	path := filepath.Join(folder, "master.keys")
	keys, err := content.OpenMasterKeys(path)
	if errors.Is(err, os.ErrNotExist) {
		keys, err = content.CreateMasterKeys(path)
	}
	if err != nil {
		return nil, nil, err
	}
	db, err := database.Open(ctx, database.SQLiteURL(filepath.Join(folder, "state.db")))
	if err != nil {
		return nil, nil, err
	}
	bucket, err := content.OpenBucket(ctx, "file://"+filepath.Join(folder, "objects"))
	if err != nil {
		return nil, nil, err
	}
	s, err := content.New(ctx, db, bucket, keys, content.Options{PartBytes: 1000})
	return s, func() { _ = errors.Join(db.Close(), bucket.Close()) }, err
}

func TestACrashAtAnyStepLosesNothing(t *testing.T) {
	run := func(folder, step string) error {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), crashFolder+"="+folder, crashStep+"="+step)
		child.Stderr = os.Stderr
		return child.Run()
	}
	for _, step := range content.Steps() {
		t.Run(step, func(t *testing.T) {
			folder := t.TempDir()
			var exit *exec.ExitError
			require.ErrorAs(t, run(folder, step), &exit, "the step is reached")
			require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal())
			require.NoError(t, run(folder, ""))

			s, closeAll, err := storyStore(t.Context(), folder)
			require.NoError(t, err)
			defer closeAll()
			require.NoError(t, s.CleanUp(t.Context(), -time.Hour)) // takes what is from before an hour from now
			c, err := s.Open(t.Context(), keptID)
			require.NoError(t, err)
			require.NoError(t, c.Verify(t.Context()))
			r := c.Reader(t.Context())
			defer r.Close()
			data, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, storyText, string(data))
			_, err = s.Open(t.Context(), erasedID)
			require.ErrorIs(t, err, content.ErrErased)
			entries, err := os.ReadDir(filepath.Join(folder, "objects", "objects", keptID))
			require.NoError(t, err)
			require.Len(t, entries, (len(storyText)+999)/1000, "no object is left over")
			entries, err = os.ReadDir(filepath.Join(folder, "objects", "objects", erasedID))
			require.True(t, err == nil && len(entries) == 0 || errors.Is(err, os.ErrNotExist))
		})
	}
}
