package artifact_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/gateway/artifact"
)

// tensors makes a safetensors file of a header and so many bytes.
func tensors(header string, size int) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(file, header...), make([]byte, size)...)
}

const lora = `{"__metadata__":{"format":"pt"},"q.lora_A.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},` +
	`"q.lora_B.weight":{"dtype":"BF16","shape":[4,2],"data_offsets":[24,40]}}`

func checkTensors(file []byte) (map[string]artifact.Tensor, error) {
	return artifact.CheckSafetensors(bytes.NewReader(file), int64(len(file)))
}

func TestOnlyASafetensorsFileInWhichEveryByteIsAccountedForIsTaken(t *testing.T) {
	found, err := checkTensors(tensors(lora, 40))
	require.NoError(t, err)
	require.Len(t, found, 2)
	_, err = checkTensors(tensors(`{}  `, 0))
	require.NoError(t, err, "padding of the header")
	for claim, file := range map[string][]byte{
		"no header":         {1, 2, 3},
		"a header too long": append(binary.LittleEndian.AppendUint64(nil, 1<<62), '{', '}'),
		"beyond its bound":  append(binary.LittleEndian.AppendUint64(nil, artifact.MaxHeader+1), '{', '}'),
		"no object":         tensors(`[]`, 0),
		"no JSON":           tensors(`{"a":`, 0),
		"a name twice":      tensors(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1),
		"unknown members":   tensors(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}`, 1),
		"unknown type":      tensors(`{"a":{"dtype":"X8","shape":[1],"data_offsets":[0,1]}}`, 1),
		"another size":      tensors(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4),
		"a gap":             tensors(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2),
		"an overlap":        tensors(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3),
		"beyond the end":    tensors(`{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}`, 8),
		"bytes of nothing":  tensors(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 2),
		"an overflow":       tensors(`{"a":{"dtype":"F64","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,0]}}`, 0),
		"backwards":         tensors(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,-1]}}`, 0),
		"half a byte":       tensors(`{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,0]}}`, 0),
	} {
		_, err := checkTensors(file)
		require.Error(t, err, claim)
	}
}

func TestRandomSafetensorsFilesAreTakenAndAnyShiftOfAnOffsetIsNot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		header, at := map[string]artifact.Tensor{}, uint64(0)
		for i := range rapid.IntRange(1, 6).Draw(t, "tensors") {
			shape := rapid.SliceOfN(rapid.Uint64Range(0, 4), 0, 3).Draw(t, "shape")
			size := uint64(2)
			for _, d := range shape {
				size *= d
			}
			header[fmt.Sprint("t", i)] = artifact.Tensor{Type: "F16", Shape: shape, Offsets: [2]uint64{at, at + size}}
			at += size
		}
		encode := func() []byte {
			raw, err := json.Marshal(header)
			require.NoError(t, err)
			return tensors(string(raw), int(at))
		}
		found, err := checkTensors(encode())
		require.NoError(t, err)
		require.Len(t, found, len(header))
		one := header["t0"]
		one.Offsets[rapid.IntRange(0, 1).Draw(t, "which")]++
		header["t0"] = one
		_, err = checkTensors(encode())
		require.Error(t, err)
	})
}

func FuzzCheckSafetensors(f *testing.F) {
	f.Add(tensors(lora, 40))
	f.Add(tensors(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1))
	f.Fuzz(func(t *testing.T, file []byte) {
		found, err := checkTensors(file)
		if err != nil {
			return
		}
		sum := uint64(0)
		for _, tensor := range found {
			sum += tensor.Offsets[1] - tensor.Offsets[0]
		}
		require.Equal(t, uint64(len(file))-8-binary.LittleEndian.Uint64(file), sum)
	})
}

func FuzzDecodeManifest(f *testing.F) {
	f.Add([]byte(`{"format":"datanet-training/1","method":"other","program":"p","files":[{"name":"a","bytes":1,"sha256":"` + strings.Repeat("ab", 32) + `"}]}`))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m, err := artifact.DecodeManifest(encoded)
		if err != nil {
			return
		}
		again, _, err := m.Encode()
		require.NoError(t, err)
		_, err = artifact.DecodeManifest(again)
		require.NoError(t, err)
		for _, file := range m.Files {
			require.True(t, filepath.IsLocal(filepath.FromSlash(file.Name)))
		}
	})
}

func FuzzDecodeModel(f *testing.F) {
	f.Add([]byte(`{"format":"infgram/1","interpolation":{"discount":0,"escape":10},"maxContext":4,"corpus":{"tokens":3,"distinct":2,"digest":"","roots":[]}}`))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m, err := artifact.DecodeModel(encoded)
		if err != nil {
			return
		}
		again, err := m.Encode()
		require.NoError(t, err)
		same, err := artifact.DecodeModel(again)
		require.NoError(t, err)
		require.Equal(t, m.Interpolation, same.Interpolation)
		require.Equal(t, m.MaxContext, same.MaxContext)
	})
}

func write(t *testing.T, dir string, files map[string]string) string {
	for name, text := range files {
		place := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(place), 0o700))
		require.NoError(t, os.WriteFile(place, []byte(text), 0o600))
	}
	return dir
}

const adapterConfig = `{"peft_type":"LORA","base_model_name_or_path":"Qwen/Qwen2.5-0.5B","r":2,"lora_alpha":16,"target_modules":["q_proj"]}`

func TestAFolderIsHashedAndAnAdapterKnown(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{artifact.AdapterConfig: adapterConfig, "adapter_model.safetensors": string(tensors(lora, 40)), "tokens/a.txt": "abc"})
	hashed := int64(0)
	m, err := artifact.Read(t.Context(), dir, func(n int64) { hashed += n })
	require.NoError(t, err)
	require.Equal(t, artifact.LoRA, m.Method)
	require.Equal(t, artifact.Adapter{Type: "LORA", Base: "Qwen/Qwen2.5-0.5B", Rank: 2}, m.Adapter)
	require.Len(t, m.Files, 3)
	require.Equal(t, "tokens/a.txt", m.Files[2].Name)
	require.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", m.Files[2].SHA256)
	require.EqualValues(t, m.Files[0].Bytes+m.Files[1].Bytes+3, hashed)

	encoded, _, err := m.Encode()
	require.NoError(t, err)
	write(t, dir, map[string]string{artifact.ManifestName: string(encoded), "checkpoint.bin": "not listed"})
	again, err := artifact.Read(t.Context(), dir, nil)
	require.NoError(t, err)
	require.Equal(t, m, again, "what a manifest does not list is none of the artifacts")
	write(t, dir, map[string]string{"tokens/a.txt": "abd"})
	_, err = artifact.Read(t.Context(), dir, nil)
	require.ErrorContains(t, err, "tokens/a.txt is not the file")
}

func TestAFolderThatIsNoneIsRefused(t *testing.T) {
	for claim, files := range map[string]map[string]string{
		"empty":                {},
		"another adapter":      {artifact.AdapterConfig: `{"peft_type":"IA3","base_model_name_or_path":"a/b","r":1}`},
		"no base":              {artifact.AdapterConfig: `{"peft_type":"LORA","r":1}`},
		"no weights":           {artifact.AdapterConfig: adapterConfig},
		"weights of no LoRA":   {artifact.AdapterConfig: adapterConfig, "adapter_model.safetensors": string(tensors(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1))},
		"half a pair":          {artifact.AdapterConfig: adapterConfig, "adapter_model.safetensors": string(tensors(`{"a.lora_A.weight":{"dtype":"U8","shape":[1,1],"data_offsets":[0,1]}}`, 1))},
		"a broken file":        {"model.safetensors": "12345678{}"},
		"a name with a dot":    {".hidden": "x"},
		"a manifest of naught": {artifact.ManifestName: "{}", "a": "x"},
	} {
		_, err := artifact.Read(t.Context(), write(t, t.TempDir(), files), nil)
		require.Error(t, err, claim)
	}
	dir := write(t, t.TempDir(), map[string]string{"a": "x"})
	require.NoError(t, os.Symlink("/etc/hosts", filepath.Join(dir, "b")))
	_, err := artifact.Read(t.Context(), dir, nil)
	require.ErrorContains(t, err, "not a regular file")
}

// trained is a registered model of some files.
func trained(t *testing.T, files map[string]string) (dir string, m model.Model, encoded []byte, manifest *artifact.Manifest) {
	dir = write(t, t.TempDir(), files)
	manifest, err := artifact.Read(t.Context(), dir, nil)
	require.NoError(t, err)
	encoded, digest, err := manifest.Encode()
	require.NoError(t, err)
	m.Named = model.Named{Name: "AMSP/verse", Version: "1.0"}
	m.Artifacts, m.Manifest = manifest.Digests(), digest
	return dir, m, encoded, manifest
}

func open(t *testing.T) *artifact.Store {
	s, err := artifact.Open(t.TempDir())
	require.NoError(t, err)
	return s
}

// broken gives some bytes and then an error.
type broken struct{ left io.Reader }

var errBroken = errors.New("connection lost")

func (b *broken) Read(p []byte) (int, error) {
	n, err := b.left.Read(p)
	if err == io.EOF {
		err = errBroken
	}
	return n, err
}

func TestAnUploadGoesOnWhereItBrokeAndOnlyTheRegisteredBytesAreTaken(t *testing.T) {
	text := strings.Repeat("weights ", 1000)
	_, m, encoded, manifest := trained(t, map[string]string{"a.bin": text, "b/copy.bin": text, "empty": ""})
	s := open(t)
	digest := manifest.Files[0].SHA256
	_, err := s.Append(t.Context(), m, digest, 0, strings.NewReader(text))
	require.ErrorIs(t, err, artifact.ErrNoManifest)
	_, err = s.PutManifest(m, append(encoded, ' '))
	require.ErrorIs(t, err, artifact.ErrNotRegistered)
	other := m
	other.Artifacts = other.Artifacts[:1]
	_, err = s.PutManifest(other, encoded)
	require.ErrorIs(t, err, artifact.ErrNotRegistered)
	for range 2 {
		_, err = s.PutManifest(m, encoded)
		require.NoError(t, err)
	}
	_, err = s.Append(t.Context(), m, strings.Repeat("00", 32), 0, strings.NewReader(text))
	require.ErrorIs(t, err, artifact.ErrNoArtifact)
	_, err = s.Append(t.Context(), m, digest, 0, &broken{strings.NewReader(text[:3000])})
	require.ErrorIs(t, err, errBroken)
	offset := new(artifact.OffsetError)
	_, err = s.Append(t.Context(), m, digest, 0, strings.NewReader(text))
	require.ErrorAs(t, err, &offset)
	require.EqualValues(t, 3000, offset.Received)
	_, _, err = s.OpenFile(m, digest)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = s.Append(t.Context(), m, digest, 3000, strings.NewReader(strings.ToUpper(text[3000:])))
	require.ErrorIs(t, err, artifact.ErrNotRegistered)
	files, err := s.Files(m)
	require.NoError(t, err)
	require.Zero(t, files[0].Received, "wrong bytes are thrown away")
	for at := 0; at < len(text); at += 1500 {
		done, err := s.Append(t.Context(), m, digest, int64(at), strings.NewReader(text[at:min(at+1500, len(text))]))
		require.NoError(t, err)
		require.EqualValues(t, min(at+1500, len(text)), done.Received)
	}
	whole, err := s.Complete(m)
	require.NoError(t, err)
	require.False(t, whole)
	_, err = s.Append(t.Context(), m, manifest.Files[2].SHA256, 0, strings.NewReader(""))
	require.NoError(t, err)
	whole, err = s.Complete(m)
	require.NoError(t, err)
	require.True(t, whole)
	for _, name := range []string{"a.bin", "b/copy.bin"} {
		kept, err := os.ReadFile(filepath.Join(s.Folder(m.Named), name))
		require.NoError(t, err)
		require.Equal(t, text, string(kept))
	}
	small, err := s.Small(m, digest, 10)
	require.NoError(t, err)
	require.Nil(t, small)
	small, err = s.Small(m, digest, 1<<20)
	require.NoError(t, err)
	require.Equal(t, text, string(small))
	require.NoError(t, os.WriteFile(filepath.Join(s.Folder(m.Named), "a.bin"), []byte(strings.ToUpper(text)), 0o600))
	_, err = s.Small(m, digest, 1<<20)
	require.ErrorIs(t, err, artifact.ErrNotRegistered)
}

func TestAHostsGatewayFetchesWhatIsMissingAndNobodyElseGetsAnything(t *testing.T) {
	text := strings.Repeat("weights ", 100_000)
	_, m, encoded, manifest := trained(t, map[string]string{"a.bin": text, "empty": "", "small": "s"})
	owner, host := open(t), open(t)
	caller := "CMSP"
	entitled := func(_ context.Context, n model.Named, msp string) (model.Model, error) {
		if n != m.Named || msp != "CMSP" {
			return model.Model{}, ledger.Refuse(ledger.CodeForbidden, "%s does not host %s", msp, n)
		}
		return m, nil
	}
	handler := owner.Handler(entitled, func(*http.Request) (string, bool) { return caller, caller != "" })
	var cut atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cut.Swap(false) {
			w = &short{ResponseWriter: w, left: 100_000}
			defer func() { panic(http.ErrAbortHandler) }()
		}
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	fetch := func() error { return host.Fetch(t.Context(), server.Client(), server.URL, m) }
	require.ErrorContains(t, fetch(), "it is not here")
	_, err := owner.PutManifest(m, encoded)
	require.NoError(t, err)
	require.ErrorContains(t, fetch(), "it is not here", "the files are missing")
	for i, content := range []string{text, "", "s"} {
		_, err := owner.Append(t.Context(), m, manifest.Files[i].SHA256, 0, strings.NewReader(content))
		require.NoError(t, err)
	}
	for _, caller = range []string{"", "BMSP"} {
		require.Error(t, fetch())
		files, err := host.Files(m)
		require.NoError(t, err)
		require.Zero(t, files[0].Received)
	}
	caller = "CMSP"
	cut.Store(true)
	require.Error(t, fetch())
	files, err := host.Files(m)
	require.NoError(t, err)
	require.Positive(t, files[0].Received)
	require.Less(t, files[0].Received, int64(len(text)))
	require.NoError(t, fetch())
	require.NoError(t, fetch(), "nothing is left to be fetched")
	whole, err := host.Complete(m)
	require.NoError(t, err)
	require.True(t, whole)
	response, err := server.Client().Get(server.URL + artifact.Path + "AMSP/verse/..%2f..")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.NotEqual(t, http.StatusOK, response.StatusCode)
}

// short stops writing after some bytes.
type short struct {
	http.ResponseWriter
	left int
}

func (s *short) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *short) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p[:min(len(p), s.left)])
	if s.left -= n; s.left == 0 && err == nil {
		err = errBroken
	}
	return n, err
}

func TestTheDigestOfACorpusCoversEveryRecordAndItsPlace(t *testing.T) {
	type record struct {
		id     string
		number int
		text   string
	}
	id := strings.Repeat("ab", 16)
	sum := func(records ...record) model.Corpus {
		d := artifact.NewDigester()
		for _, r := range records {
			require.NoError(t, d.Add(r.id, r.number, r.text))
		}
		return d.Corpus()
	}
	one := sum(record{id, 0, "a rose is a rose"}, record{id, 1, "the end"})
	require.EqualValues(t, 7, one.Tokens)
	require.EqualValues(t, 5, one.Distinct)
	for _, other := range []model.Corpus{
		sum(record{id, 0, "a rose is a rosethe"}, record{id, 1, " end"}),
		sum(record{id, 1, "a rose is a rose"}, record{id, 0, "the end"}),
		sum(record{id, 1, "the end"}, record{id, 0, "a rose is a rose"}),
	} {
		require.NotEqual(t, one.Digest, other.Digest)
	}
}
