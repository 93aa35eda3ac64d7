package content

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/s3blob"
)

// OpenBucket opens the bucket of a URL: a folder, which is created ("file:///var/lib/datanet/content"), or a bucket of
// an S3-compatible service ("s3://name?region=…&endpoint=https://…&use_path_style=true", see gocloud.dev/blob/s3blob; who
// calls is told by Amazon's variables, as AWS_ACCESS_KEY_ID, or files). Prefix an S3 bucket's objects by the URL's option
// prefix.
func OpenBucket(ctx context.Context, address string) (*blob.Bucket, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("open the content bucket: the URL is malformed")
	}
	if u.Scheme == fileblob.Scheme {
		if u.Host != "" || u.RawQuery != "" || u.Path == "" {
			return nil, fmt.Errorf("open the content bucket: a folder's URL is file:// and its absolute path")
		}
		path := u.Path
		if runtime.GOOS == "windows" && len(path) > 0 {
			path = path[1:] // /C:/…
		}
		bucket, err := fileblob.OpenBucket(filepath.FromSlash(path), folderOptions())
		if err != nil {
			return nil, fmt.Errorf("open the content bucket: %w", err)
		}
		return bucket, nil
	}
	if u.Scheme == s3blob.Scheme {
		// Newer checksums, which Amazon's client sends behind the bytes, are kept as bytes by services that do not know
		// them. Objects are authentic by their encryption, so they are left out unless the URL asks for them.
		options := u.Query()
		for _, name := range []string{"request_checksum_calculation", "response_checksum_validation"} {
			if !options.Has(name) {
				options.Set(name, "when_required")
			}
		}
		u.RawQuery = options.Encode()
	}
	bucket, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("open the content bucket: %w", err)
	}
	return bucket, nil
}

// folderOptions keep others out, and temporary files beside their objects, so that putting one in place is atomic.
func folderOptions() *fileblob.Options {
	return &fileblob.Options{CreateDir: true, DirFileMode: 0o700, NoTempDir: true, Metadata: fileblob.MetadataDontWrite}
}

// A durableWriter writes an object that a loss of power does not take once Close has returned. Services keep that by
// themselves; a folder needs its file and itself synchronised.
type durableWriter struct {
	*blob.Writer
	file *os.File // nil when the bucket is no folder
}

func newDurableWriter(ctx context.Context, bucket *blob.Bucket, object string) (*durableWriter, error) {
	w := &durableWriter{}
	options := &blob.WriterOptions{ContentType: "application/octet-stream", DisableContentTypeDetection: true,
		BeforeWrite: func(as func(any) bool) error {
			if as(&w.file) {
				return w.file.Chmod(0o600)
			}
			return nil
		}}
	var err error
	w.Writer, err = bucket.NewWriter(ctx, object, options)
	return w, err
}

func (w *durableWriter) Close() error {
	if w.file == nil {
		return w.Writer.Close()
	}
	if err := w.file.Sync(); err != nil {
		w.Writer.Close()
		return err
	}
	if err := w.Writer.Close(); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(w.file.Name()))
}

// syncFolder makes the names in a folder durable, where the system can.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if closeErr := folder.Close(); err == nil {
		err = closeErr
	}
	return err
}
