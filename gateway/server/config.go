package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
	"gopkg.in/yaml.v3"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/attesting"
	"github.com/datanet-consortium/datanet/network/pki"
)

// Config is everything that a gateway is told. config/gateway.yaml explains each setting by example. Paths are relative
// to the folder of the file.
type Config struct {
	// Organisation is whose gateway it is, by its MSP ID.
	Organisation string `yaml:"organisation"`
	Channel      string `yaml:"channel"`
	Chaincode    string `yaml:"chaincode"`
	// ReadOnly leaves out everything that could write to the ledger, as for the regulator.
	ReadOnly bool `yaml:"readOnly"`
	// Folder holds what the gateway keeps, unless a setting below says otherwise.
	Folder string `yaml:"folder"`
	// Listen is host:port of the one listener.
	Listen        string         `yaml:"listen"`
	TLS           TLS            `yaml:"tls"`
	Peer          Peer           `yaml:"peer"`
	Identity      Identity       `yaml:"identity"`
	Organisations []Organisation `yaml:"organisations"`
	Database      Database       `yaml:"database"`
	Content       Content        `yaml:"content"`
	Sequencer     Sequencer      `yaml:"sequencer"`
	Paying        Paying         `yaml:"paying"`
	Settlement    Settlement     `yaml:"settlement"`
	Serving       Serving        `yaml:"serving"`
	Attestation   Attestation    `yaml:"attestation"`
	Limits        Limits         `yaml:"limits"`
	Log           Log            `yaml:"log"`
}

// TLS is the listener's own certificate.
type TLS struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
}

// Peer is the organisation's peers.
type Peer struct {
	// Addresses are host:port; the first one that can be reached is used.
	Addresses []string `yaml:"addresses"`
	// Authority is the PEM file of the TLS authority of them all.
	Authority string `yaml:"authority"`
}

// Identity is who the gateway is, and how it knows people.
type Identity struct {
	// Folder is the MSP folder of the gateway's own enrolment.
	Folder string `yaml:"folder"`
	// Keep are MSP folders of people whose keys the gateway takes into its keystore when it starts, to sign for them.
	Keep []string `yaml:"keep"`
	// Authority is the folder with cert.pem and key.pem of the organisation's identity authority; "" enrols nobody.
	Authority string `yaml:"authority"`
	// Validity is how long the certificates last that it issues.
	Validity time.Duration `yaml:"validity"`
	Issuers  []Issuer      `yaml:"issuers"`
}

// Issuer is an OpenID Connect provider.
type Issuer struct {
	URL      string `yaml:"url"`
	Audience string `yaml:"audience"`
	// Claim names the person. With People it is looked up there, else it is the enrolment id itself.
	Claim  string   `yaml:"claim"`
	People []Person `yaml:"people"`
	// Authority is the PEM file of the TLS authority of the provider; "": the system's.
	Authority string `yaml:"authority"`
}

// Person maps a claim's value to an enrolment id.
type Person struct {
	Claim     string `yaml:"claim"`
	Enrolment string `yaml:"enrolment"`
}

// Organisation is one of the consortium, the own one too.
type Organisation struct {
	MSPID string `yaml:"mspId"`
	// Authority is the PEM file of its identity authority.
	Authority string `yaml:"authority"`
	// Gateway is host:port of its gateway, from which content is fetched, and TLSAuthority the PEM file of the TLS
	// authority that certifies it; both empty for one that has none.
	Gateway      string `yaml:"gateway"`
	TLSAuthority string `yaml:"tlsAuthority"`
}

// Database are the URLs of the two databases; "" is a SQLite file in the gateway's folder.
type Database struct {
	State string `yaml:"state"`
	Index string `yaml:"index"`
}

// Content is where content is kept.
type Content struct {
	// Bucket is file:///folder or s3://…; "" is a folder in the gateway's folder.
	Bucket string `yaml:"bucket"`
	// MasterKey is the file of the master keys; "" is one in the gateway's folder. It is made when it is absent.
	MasterKey string `yaml:"masterKey"`
	// Quota bounds what an account may store, in bytes; 0 is no bound.
	Quota int64 `yaml:"quota"`
	// Reread is after how long each content is read whole again, so that what is damaged is found.
	Reread time.Duration `yaml:"reread"`
}

// Sequencer says when approved contributions are sealed.
type Sequencer struct {
	Off     bool          `yaml:"off"`
	Quiet   time.Duration `yaml:"quiet"`
	Longest time.Duration `yaml:"longest"`
}

// Paying says how the gateway pays for the use of models.
type Paying struct {
	// Tokens is how many an answer may have whose request does not say.
	Tokens uint64 `yaml:"tokens"`
	// Patience is how long a request waits for room in a session, and for a host that does not answer.
	Patience time.Duration `yaml:"patience"`
}

// Limits bound what callers may ask for.
type Limits struct {
	// Rate is requests per second of one caller, Burst as many at once; a rate of 0 is no bound.
	Rate  int `yaml:"rate"`
	Burst int `yaml:"burst"`
	// Body is how long a caller may take to send a document.
	Body time.Duration `yaml:"body"`
	// Wait is how long a write is waited for when the caller does not say.
	Wait time.Duration `yaml:"wait"`
	// Shutdown is how long requests may go on when the gateway is stopped.
	Shutdown time.Duration `yaml:"shutdown"`
	// Lag is how many blocks the index may be behind the peer while the gateway counts as ready.
	Lag int `yaml:"lag"`
}

// Log says what is logged: debug, info, warn or error.
type Log struct {
	Level string `yaml:"level"`
}

// defaults are the settings that may be left out.
func defaults() Config {
	return Config{
		Channel: "datanet", Chaincode: "datanet", Listen: "127.0.0.1:8443",
		Settlement:  Settlement{Amount: 100_000_000, Age: time.Hour, Every: 10 * time.Second, Refund: 10 * time.Minute, Courtesy: 10 * time.Second},
		Identity:    Identity{Validity: pki.Validity},
		Content:     Content{Reread: 30 * 24 * time.Hour},
		Paying:      Paying{Tokens: 1024, Patience: 30 * time.Second},
		Attestation: Attestation{Rate: use.All, Engine: string(attesting.Streaming), Patience: 24 * time.Hour, Every: 30 * time.Second},
		Serving:     Serving{Exposure: 100_000_000, Unsettled: 200_000, Abreast: 256, Tokens: 4096, Timeout: 5 * time.Minute},
		Limits:      Limits{Rate: 200, Burst: 400, Body: 30 * time.Second, Wait: 20 * time.Second, Shutdown: 20 * time.Second, Lag: 50},
		Log:         Log{Level: "info"},
	}
}

// environment is how variables begin that change a setting: DATANET_GATEWAY_PEER_AUTHORITY is peer.authority.
const environment = "DATANET_GATEWAY_"

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// Load reads a configuration file, then variables of the environment (NAME=value), then settings of the command line
// (name=value); later ones win. A setting that does not exist is an error, wherever it stands. Lists of values are
// separated by commas in the latter two; lists of groups can only be given in the file.
func Load(path string, environ, settings []string) (*Config, error) {
	raw, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("read the gateway's configuration: %w", err)
	}
	c, err := parse(raw, environ, settings)
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	base, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("find the folder of the configuration: %w", err)
	}
	c.resolve(base)
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err == nil && len(raw) > maxConfig {
		err = fmt.Errorf("larger than %d bytes", maxConfig)
	}
	return raw, err
}

func parse(raw []byte, environ, settings []string) (*Config, error) {
	// Viper folds the case of keys, so it cannot tell a misspelt one; yaml can.
	strict := yaml.NewDecoder(bytes.NewReader(raw))
	strict.KnownFields(true)
	if err := strict.Decode(new(Config)); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := strict.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file must hold exactly one YAML document")
	}
	v := viper.New()
	v.SetConfigType("yaml")
	if err := v.ReadConfig(bytes.NewReader(raw)); err != nil {
		return nil, err
	}
	known := names(reflect.TypeFor[Config](), "")
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		key, ours := strings.CutPrefix(name, environment)
		if !ours {
			continue
		}
		i := slices.IndexFunc(known, func(k string) bool { return variableOf(k) == key })
		if i < 0 {
			return nil, fmt.Errorf("the environment sets %s, and there is no such setting", name)
		}
		v.Set(known[i], value)
	}
	for _, setting := range settings {
		name, value, given := strings.Cut(setting, "=")
		if !given || !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no setting %q; write name=value", name)
		}
		v.Set(name, value)
	}
	c := defaults()
	err := v.UnmarshalExact(&c, func(d *mapstructure.DecoderConfig) {
		d.TagName = "yaml"
		d.DecodeHook = mapstructure.ComposeDecodeHookFunc(mapstructure.StringToTimeDurationHookFunc(), mapstructure.StringToSliceHookFunc(","))
	})
	return &c, err
}

func variableOf(key string) string { return strings.ToUpper(strings.ReplaceAll(key, ".", "_")) }

// names are the settings that a text can set.
func names(t reflect.Type, prefix string) (list []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := prefix + f.Tag.Get("yaml")
		switch {
		case f.Type.Kind() == reflect.Struct:
			list = append(list, names(f.Type, name+".")...)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
		default:
			list = append(list, name)
		}
	}
	return list
}

// resolve makes paths absolute.
func (c *Config) resolve(base string) {
	paths := []*string{&c.Folder, &c.TLS.Certificate, &c.TLS.Key, &c.Peer.Authority, &c.Identity.Folder, &c.Identity.Authority, &c.Content.MasterKey}
	for i := range c.Identity.Keep {
		paths = append(paths, &c.Identity.Keep[i])
	}
	for i := range c.Serving.Models {
		paths = append(paths, &c.Serving.Models[i].Key)
	}
	for i := range c.Identity.Issuers {
		paths = append(paths, &c.Identity.Issuers[i].Authority)
	}
	for i := range c.Organisations {
		paths = append(paths, &c.Organisations[i].Authority, &c.Organisations[i].TLSAuthority)
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(base, *p)
		}
	}
	if c.Content.MasterKey == "" {
		c.Content.MasterKey = filepath.Join(c.Folder, "master-keys.json")
	}
}

// validate reports everything that is wrong at once.
func (c *Config) validate() error {
	var faults []error
	fault := func(name, format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
	}
	if ledger.ValidMSP(c.Organisation) != nil {
		fault("organisation", "%q is not an MSP ID", c.Organisation)
	}
	for name, value := range map[string]string{"channel": c.Channel, "chaincode": c.Chaincode, "folder": c.Folder, "tls.certificate": c.TLS.Certificate,
		"tls.key": c.TLS.Key, "peer.authority": c.Peer.Authority, "identity.folder": c.Identity.Folder} {
		if value == "" {
			fault(name, "is missing")
		}
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		fault("listen", "%q is not host:port", c.Listen)
	}
	if len(c.Peer.Addresses) == 0 {
		fault("peer.addresses", "name at least one peer")
	}
	for i, o := range c.Organisations {
		name := fmt.Sprintf("organisations[%d]", i)
		if ledger.ValidMSP(o.MSPID) != nil {
			fault(name+".mspId", "%q is not an MSP ID", o.MSPID)
		}
		if o.Authority == "" {
			fault(name+".authority", "is missing")
		}
		if (o.Gateway == "") != (o.TLSAuthority == "") {
			fault(name+".gateway", "give gateway and tlsAuthority, or neither")
		}
	}
	if !slices.ContainsFunc(c.Organisations, func(o Organisation) bool { return o.MSPID == c.Organisation }) {
		fault("organisations", "%s itself is missing", c.Organisation)
	}
	if c.ReadOnly && (len(c.Identity.Keep) > 0 || c.Content.Bucket != "") {
		fault("readOnly", "a gateway that only reads keeps neither keys of people nor content")
	}
	if c.Limits.Rate < 0 || c.Limits.Burst < c.Limits.Rate || c.Limits.Lag < 0 {
		fault("limits", "rate and lag are at least 0, burst at least the rate")
	}
	for name, d := range map[string]time.Duration{"body": c.Limits.Body, "wait": c.Limits.Wait, "shutdown": c.Limits.Shutdown} {
		if d <= 0 {
			fault("limits."+name, "must be longer than 0")
		}
	}
	if c.Paying.Tokens == 0 || c.Paying.Tokens > math.MaxInt32 {
		fault("paying.tokens", "must be from 1 to %d", math.MaxInt32)
	}
	if c.Identity.Validity < leastValidity {
		fault("identity.validity", "must be at least %s: what ends sooner cannot be renewed in time", leastValidity)
	}
	if c.Content.Reread <= 0 {
		fault("content.reread", "must be longer than 0")
	}
	if c.Paying.Patience <= 0 {
		fault("paying.patience", "must be longer than 0")
	}
	for name, d := range map[string]time.Duration{"age": c.Settlement.Age, "every": c.Settlement.Every, "refund": c.Settlement.Refund} {
		if d <= 0 {
			fault("settlement."+name, "must be longer than 0")
		}
	}
	c.Serving.check(fault)
	c.Attestation.check(fault)
	if c.Settlement.Courtesy < 0 {
		fault("settlement.courtesy", "must be at least 0")
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		fault("log.level", "must be debug, info, warn or error")
	}
	return errors.Join(faults...)
}
