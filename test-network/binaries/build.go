package binaries

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

//go:generate cp ../fabric/go.mod fabric.mod
//go:generate cp ../fabric/go.sum fabric.sum
//go:generate cp ../fabric/dropped.patch dropped.patch
//go:generate cp ../fabric/written.patch written.patch
//go:generate cp ../fabric/smartbft.patch smartbft.patch

// These are copies of files in ../fabric, which cannot be embedded where they are because they belong to another module.
var (
	//go:embed fabric.mod
	pinnedMod []byte
	//go:embed fabric.sum
	pinnedSum []byte
	//go:embed dropped.patch
	droppedPatch []byte
	//go:embed written.patch
	writtenPatch []byte
	//go:embed smartbft.patch
	smartBFTPatch []byte
)

// programs are the import paths of what is built.
var programs = []string{
	fabric + "/cmd/orderer",
	fabric + "/cmd/peer",
}

// linkFlags stamp the version, which Fabric's own Makefile does the same way, and leave out debugging tables.
const linkFlags = "-s -w -X " + fabric + "/common/metadata.Version=v" + patched

// fabric is the path of Fabric's module.
const fabric = "github.com/hyperledger/fabric"

// patches are the modules that are changed before they are built.
var patches = []patch{
	{module: fabric, dir: "fabric", diff: slices.Concat(droppedPatch, writtenPatch)},
	{module: smartBFT, dir: "smartbft", diff: smartBFTPatch},
}

// Progress reports how far a build is.
type Progress struct {
	// Stage is a short sentence.
	Stage string
	// Done and Total count compiled packages. Total is 0 while it is not known; packages that lie in Go's build cache
	// are never reported as done.
	Done, Total int
}

// BuildOptions say where Build puts the programs. The zero value is usable.
type BuildOptions struct {
	// Cache is the folder below which each build gets a folder of its own; by default "datanet" in the user's cache.
	Cache string
	// Report is called as the build proceeds, from one goroutine at a time. It may be nil.
	Report func(Progress)
}

// Build returns the pinned Fabric programs and compiles them first if the cache does not hold them. Of several
// processes that build at once one compiles and the others wait for it; a build that is interrupted leaves nothing
// that a later one takes for finished. It needs the go command and, the first time, the network or a filled module
// cache.
func Build(ctx context.Context, options BuildOptions) (*Set, error) {
	report := options.Report
	if report == nil {
		report = func(Progress) {}
	}
	cache := options.Cache
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find the cache for the Fabric programs: %w", err)
		}
		cache = filepath.Join(user, "datanet")
	}
	toolchain, err := toolchain(ctx)
	if err != nil {
		return nil, err
	}
	target := filepath.Join(cache, "fabric-"+Version+"-"+fingerprint(toolchain))
	set := &Set{Peer: filepath.Join(target, "peer"), Orderer: filepath.Join(target, "orderer"), Version: patched}
	if exists(target) {
		return set, nil
	}

	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("make the cache for the Fabric programs: %w", err)
	}
	lock := flock.New(target + ".lock")
	locked, err := lock.TryLock()
	if err == nil && !locked {
		report(Progress{Stage: "waiting for another build of Fabric " + Version})
		_, err = lock.TryLockContext(ctx, 200*time.Millisecond)
	}
	if err != nil {
		return nil, fmt.Errorf("wait for another build of Fabric: %w", err)
	}
	defer lock.Unlock()
	if exists(target) {
		return set, nil
	}

	// The folder of a build that was interrupted lies where this one works.
	work := target + ".building"
	if err := errors.Join(os.RemoveAll(work), os.Mkdir(work, 0o755)); err != nil {
		return nil, fmt.Errorf("make a folder to build Fabric in: %w", err)
	}
	defer os.RemoveAll(work)
	if err := compile(ctx, work, report); err != nil {
		return nil, fmt.Errorf("build Fabric %s: %w", Version, err)
	}
	built, err := Use(ctx, filepath.Join(work, "bin"))
	if err != nil {
		return nil, fmt.Errorf("check the Fabric programs just built: %w", err)
	}
	if built.Version != patched {
		return nil, fmt.Errorf("the Fabric programs just built say %s, not %s", built.Version, patched)
	}
	if err := os.Rename(filepath.Join(work, "bin"), target); err != nil {
		return nil, fmt.Errorf("put the Fabric programs into the cache: %w", err)
	}
	return set, nil
}

// compile builds the programs into work/bin.
func compile(ctx context.Context, work string, report func(Progress)) error {
	report(Progress{Stage: "fetching the modules of Fabric " + Version})
	packages, err := lay(ctx, work)
	if err != nil {
		return err
	}
	progress := Progress{Stage: "compiling Fabric " + Version, Total: packages}
	report(progress)
	build := goCommand(ctx, work, append([]string{"build", "-v", "-mod=readonly", "-trimpath", "-ldflags", linkFlags, "-o", "bin" + string(filepath.Separator)}, programs...)...)
	return run(build, func(line string) {
		progress.Done = min(progress.Done+1, progress.Total)
		report(progress)
	})
}

// lay makes work a module from which the patched programs can be built, and returns the number of their packages.
func lay(ctx context.Context, work string) (packages int, err error) {
	for name, content := range map[string][]byte{"go.mod": pinnedMod, "go.sum": pinnedSum} {
		if err := os.WriteFile(filepath.Join(work, name), content, 0o644); err != nil {
			return 0, err
		}
	}
	var listed bytes.Buffer
	list := goCommand(ctx, work, append([]string{"list", "-mod=readonly", "-deps", "-f", listFormat}, programs...)...)
	list.Stdout = &listed
	if err := run(list, nil); err != nil {
		return 0, err
	}
	if err := writeSource(work, listed.String()); err != nil {
		return 0, fmt.Errorf("patch the source: %w", err)
	}
	return bytes.Count(listed.Bytes(), []byte("\n")), nil
}

// goCommand is the go command in the folder dir, with the surroundings of the caller kept out. Without cgo the result
// does not depend on a C compiler, which the machine may not have.
func goCommand(ctx context.Context, dir string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	command.WaitDelay = time.Second
	return command
}

// run runs a command, gives each line of its standard error to each, and puts the last of them into its error.
func run(command *exec.Cmd, each func(line string)) error {
	pipe, err := command.StderrPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return needGo(err)
	}
	var last []string
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		if each != nil {
			each(lines.Text())
		}
		last = append(last, lines.Text())
		last = last[max(0, len(last)-10):]
	}
	// A line too long to scan must not block the command.
	_, _ = io.Copy(io.Discard, pipe)
	if err := command.Wait(); err != nil {
		return fmt.Errorf("go %s: %w: %s", command.Args[1], err, tail(strings.Join(last, "\n")))
	}
	return nil
}

// toolchain is the version of the go command on the path.
func toolchain(ctx context.Context) (string, error) {
	command := goCommand(ctx, os.TempDir(), "env", "GOVERSION")
	output, err := command.Output()
	if err != nil {
		return "", needGo(err)
	}
	return strings.TrimSpace(string(output)), nil
}

// needGo says what to do about a failure to run the go command.
func needGo(err error) error {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("building Fabric needs the go command, which is not on the path: install Go, or name a folder with Fabric's own programs: %w", err)
	}
	return fmt.Errorf("run the go command: %w", err)
}

// fingerprint names a build by all that goes into it.
func fingerprint(toolchain string) string {
	inputs := [][]byte{pinnedMod, pinnedSum, droppedPatch, writtenPatch, smartBFTPatch, []byte(toolchain), []byte(linkFlags), []byte(runtime.GOOS), []byte(runtime.GOARCH)}
	sum := sha256.Sum256(slices.Concat(inputs...))
	return hex.EncodeToString(sum[:6])
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
