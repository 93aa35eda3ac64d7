package server

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/datanet-consortium/datanet/config"
)

// file writes a configuration, with a change.
func file(t *testing.T, change func(string) string) string {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	text := string(config.Gateway)
	if change != nil {
		text = change(text)
	}
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestTheExampleIsAConfiguration(t *testing.T) {
	path := file(t, nil)
	c, err := Load(path, nil, nil)
	require.NoError(t, err)
	require.Equal(t, "PoetrySocietyMSP", c.Organisation)
	require.Equal(t, filepath.Join(filepath.Dir(path), "tls/cert.pem"), c.TLS.Certificate, "paths are relative to the file")
	require.Equal(t, defaults().Limits, c.Limits)
	require.Len(t, c.Organisations, 3)
}

func TestTheExampleExplainsEverySettingAndItsDefault(t *testing.T) {
	for _, name := range everyName(reflect.TypeFor[Config]()) {
		require.Contains(t, string(config.Gateway), name+":", "setting %s is not in the example", name)
	}
	uncommented := file(t, func(text string) string {
		for _, section := range []string{"limits", "sequencer", "log", "database", "content"} {
			text = uncomment(text, section)
		}
		for _, name := range []string{"channel", "chaincode", "readOnly", "listen"} {
			text = strings.Replace(text, "\n# "+name+":", "\n"+name+":", 1)
		}
		return text
	})
	c, err := Load(uncommented, nil, nil)
	require.NoError(t, err)
	plain, err := Load(file(t, nil), nil, nil)
	require.NoError(t, err)
	require.Equal(t, plain.Limits, c.Limits)
	require.Equal(t, plain.Log, c.Log)
	require.Equal(t, plain.Listen, c.Listen)
}

// uncomment takes the comment signs from a section.
func uncomment(text, section string) string {
	begin := strings.Index(text, "\n# "+section+":") + 1
	end := begin + strings.Index(text[begin:], "\n\n")
	if end < begin {
		end = len(text)
	}
	return text[:begin] + strings.ReplaceAll("\n"+text[begin:end], "\n# ", "\n")[1:] + text[end:]
}

func everyName(t reflect.Type) (list []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		list = append(list, f.Tag.Get("yaml"))
		inner := f.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			list = append(list, everyName(inner)...)
		}
	}
	return list
}

func TestLaterSettingsWin(t *testing.T) {
	path := file(t, nil)
	environ := []string{"PATH=/bin", "DATANET_GATEWAY_LIMITS_RATE=7", "DATANET_GATEWAY_LIMITS_WAIT=3s", "DATANET_GATEWAY_PEER_ADDRESSES=a:1,b:2", "DATANET_GATEWAY_READONLY=true"}
	c, err := Load(path, environ, []string{"limits.rate=9"})
	require.NoError(t, err)
	require.Equal(t, 9, c.Limits.Rate)
	require.Equal(t, 3*time.Second, c.Limits.Wait)
	require.Equal(t, []string{"a:1", "b:2"}, c.Peer.Addresses)
	require.True(t, c.ReadOnly)
}

func TestWhatIsNoSettingIsRefused(t *testing.T) {
	_, err := Load(file(t, func(text string) string { return text + "\nlimit: {rate: 1}\n" }), nil, nil)
	require.ErrorContains(t, err, "limit")
	_, err = Load(file(t, func(text string) string { return strings.Replace(text, "organisation:", "Organisation:", 1) }), nil, nil)
	require.ErrorContains(t, err, "Organisation")
	_, err = Load(file(t, nil), []string{"DATANET_GATEWAY_LIMIT_RATE=7"}, nil)
	require.ErrorContains(t, err, "DATANET_GATEWAY_LIMIT_RATE")
	_, err = Load(file(t, nil), nil, []string{"limits.rat=7"})
	require.ErrorContains(t, err, "limits.rat")
	_, err = Load(file(t, nil), nil, []string{"limits.rate=many"})
	require.Error(t, err)
}

func TestEverythingThatIsWrongIsToldAtOnce(t *testing.T) {
	_, err := Load(file(t, func(text string) string {
		return strings.NewReplacer("organisation: PoetrySocietyMSP", "organisation: 'no MSP'", "folder: /var/lib/datanet/gateway", "listen: nowhere").Replace(text)
	}), nil, nil)
	require.ErrorContains(t, err, "organisation")
	require.ErrorContains(t, err, "folder: is missing")
	require.ErrorContains(t, err, "listen")
}

func FuzzConfig(f *testing.F) {
	f.Add(config.Gateway)
	f.Add([]byte("limits: {rate: -1}"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := parse(raw, nil, nil)
		if err != nil {
			return
		}
		c.resolve("/")
		if c.validate() == nil {
			text, err := yaml.Marshal(c)
			require.NoError(t, err)
			_, err = parse(text, nil, nil)
			require.NoError(t, err)
		}
	})
}
