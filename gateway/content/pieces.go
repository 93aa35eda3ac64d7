package content

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// pieceBytes is how much of a file a piece holds at most.
const pieceBytes = 4 << 20

// FilePiece is a piece of a file beside the store on its way into a backup and back.
type FilePiece struct {
	Offset int64  `json:"offset"`
	Last   bool   `json:"last"`
	Data   []byte `json:"data"`
}

// ReadPieces hands out a file as far as it is written now, piece by piece in their order: at least one of a file that is
// there, none of one that is not. A piece's data is good until the next one.
func ReadPieces(path string, each func(FilePiece) error) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	data := make([]byte, pieceBytes)
	for p := (FilePiece{}); !p.Last; {
		n, err := file.ReadAt(data[:min(int64(len(data)), info.Size()-p.Offset)], p.Offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		p.Data, p.Last = data[:n], p.Offset+int64(n) == info.Size() || n == 0
		if err := each(p); err != nil {
			return err
		}
		p.Offset += int64(n)
	}
	return nil
}

// Write puts a piece in its place in a file, of which the first one makes a new one. It is on disk afterwards.
func (p FilePiece) Write(path string) error {
	flags := os.O_WRONLY
	if p.Offset == 0 {
		flags |= os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(p.Data, p.Offset)
	return errors.Join(err, file.Sync(), file.Close())
}
