package actors_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/datanet-consortium/datanet/gateway/database"
)

type command = func(ts *testscript.TestScript, neg bool, args []string)

// commands are those that doc.go explains.
func (s *stage) commands() map[string]command {
	return map[string]command{
		"as": s.as, "secret": secret, "datanet": s.run, "fails": s.fails, "http": s.http, "id": id, "let": let, "want": want, "fill": fillFile, "bytes": size, "etag": etag,
		"poems": poems, "pool": s.pool, "await": s.await, "until": s.until, "follow": s.follow, "objects": s.objects, "gone": gone, "readonly": s.readOnly, "crash": s.crash, "heal": s.heal,
	}
}

// fault is how the validator of answers ends a script.
type faults struct{ *testscript.TestScript }

func (faults) Helper() {}

func (f faults) Errorf(format string, args ...any) { f.Fatalf(format, args...) }

func usage(ts *testscript.TestScript, neg, ok bool, text string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", text)
	}
}

// fill replaces $NAME also where testscript does not, within quotes.
func fill(ts *testscript.TestScript, words []string) []string {
	filled := make([]string, len(words))
	for i, word := range words {
		filled[i] = os.Expand(word, ts.Getenv)
	}
	return filled
}

func (s *stage) as(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "as NAME@ORG")
	person, name, _ := strings.Cut(args[0], "@")
	d, err := s.door(name)
	ts.Check(err)
	home := filepath.Join(ts.Getenv("WORK"), "people", args[0])
	_, err = os.Stat(home)
	fresh := errors.Is(err, fs.ErrNotExist)
	ts.Check(os.MkdirAll(home, 0o700))
	node := filepath.Join(s.dir, "nodes", "gateway."+name)
	for name, value := range map[string]string{
		"CONFIG": filepath.Join(node, "gateway.yaml"), "FOLDER": filepath.Join(node, "data"),
		"HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, ".config"), "PERSON": args[0], "ORG": name, "MSP": d.org.MSPID, "GATEWAY": d.url, "CA": d.ca,
	} {
		ts.Setenv(name, value)
	}
	if folder, err := s.identity(d.org, person); err != nil || folder != "" && fresh {
		ts.Check(err)
		ts.Check(ts.Exec(s.datanet, "identity", "use", folder, "--gateway", d.url))
	}
	ts.Setenv("ACCOUNT", d.org.MSPID+":"+person)
	ts.Setenv(strings.ToUpper(name)+"CA", d.ca)
}

// folder is where the acting person's identity lies, "" for one who has none.
func folder(ts *testscript.TestScript) string {
	var profile struct{ Identity string }
	text, err := os.ReadFile(filepath.Join(ts.Getenv("XDG_CONFIG_HOME"), "datanet", "profile.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	ts.Check(err)
	ts.Check(json.Unmarshal(text, &profile))
	return profile.Identity
}

func (s *stage) run(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(s.datanet, fill(ts, args)...)
	if (err != nil) != neg {
		ts.Fatalf("datanet %s: %v", strings.Join(args, " "), err)
	}
}

func (s *stage) fails(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 3 && args[0] == "with" && args[2] == "datanet", "fails with CODE datanet WORD...")
	err := ts.Exec(s.datanet, fill(ts, args[3:])...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[1] {
		ts.Fatalf("%v, want exit code %s", err, args[1])
	}
}

// secret writes what is set under a name into a file of the actor's own.
func secret(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "secret NAME FILE")
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(ts.Getenv(args[0])+"\n"), 0o600))
}

func (s *stage) http(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) >= 3, "http STATUS METHOD PATH [NAME:VALUE]... [JSON | @FILE]")
	answer, header := s.send(ts, fill(ts, args))
	_, err := ts.Stdout().Write(answer)
	ts.Check(err)
	ts.Check(header.Write(ts.Stderr()))
}

// until repeats a request until its answer has a value, as what the gateway does by itself has to come.
func (s *stage) until(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 5 {
		ts.Fatalf("usage: [!] until PATH VALUE STATUS METHOD PATH...")
	}
	args = fill(ts, args)
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	last := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-ticker.C {
		answer, response, err := s.request(ts, args[2:])
		if err != nil { // it is not there yet
			last = err.Error()
			continue
		}
		last = response.Status + " " + string(answer)
		value, err := pick(string(answer), args[0])
		if strconv.Itoa(response.StatusCode) == args[2] && err == nil && (value == args[1]) != neg {
			_, err := ts.Stdout().Write(answer)
			ts.Check(err)
			return
		}
	}
	ts.Fatalf("%s did not become %s: %s", args[0], args[1], last)
}

// send sends what the words of http say.
func (s *stage) send(ts *testscript.TestScript, args []string) ([]byte, http.Header) {
	answer, response, err := s.request(ts, args)
	ts.Check(err)
	if strconv.Itoa(response.StatusCode) != args[0] {
		ts.Fatalf("%s %s answered %s, want %s: %s", args[1], args[2], response.Status, args[0], answer)
	}
	return answer, response.Header
}

// request sends what the words of http say; it fails if there is no answer.
func (s *stage) request(ts *testscript.TestScript, args []string) ([]byte, *http.Response, error) {
	d, err := s.door(ts.Getenv("ORG"))
	ts.Check(err)
	var body io.Reader
	header := http.Header{}
	who := folder(ts)
	for _, word := range args[3:] {
		name, value, isHeader := strings.Cut(word, ":")
		switch {
		case word == "anonymous":
			who = ""
		case strings.HasPrefix(word, "{"):
			body = strings.NewReader(word)
			header.Set("Content-Type", "application/json")
		case strings.HasPrefix(word, "@"):
			data, err := os.ReadFile(ts.MkAbs(word[1:]))
			ts.Check(err)
			body = bytes.NewReader(data)
		case isHeader:
			header.Set(name, strings.TrimSpace(value))
		default:
			ts.Fatalf("%q is neither a header nor a body", word)
		}
	}
	if header.Get("Authorization") != "" {
		who = ""
	}
	request, err := http.NewRequest(args[1], d.url+args[2], body)
	ts.Check(err)
	request.Header = header
	client, err := d.client(who)
	ts.Check(err)
	d.judged(faults{ts}, client)
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return answer, response, err
}

func id(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "id NAME...")
	for _, name := range args {
		var raw [16]byte
		rand.Read(raw[:])
		ts.Setenv(name, fmt.Sprintf("%x", raw))
	}
}

// pick finds a value in a JSON document.
func pick(text, path string) (string, error) {
	var at any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&at); err != nil {
		return "", fmt.Errorf("the output is not JSON: %w", err)
	}
	for _, name := range strings.Split(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			inner, ok := v[name]
			if !ok {
				return "", fmt.Errorf("there is no %s", path)
			}
			at = inner
		case []any:
			if name == "count" {
				at = json.Number(strconv.Itoa(len(v)))
				continue
			}
			if key, value, ok := strings.Cut(name, "="); ok {
				i := slices.IndexFunc(v, func(item any) bool {
					object, _ := item.(map[string]any)
					return object[key] == value
				})
				if i < 0 {
					return "", fmt.Errorf("there is no %s", path)
				}
				at = v[i]
				continue
			}
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return "", fmt.Errorf("there is no %s", path)
			}
			at = v[i]
		default:
			return "", fmt.Errorf("there is no %s", path)
		}
	}
	if text, ok := at.(string); ok {
		return text, nil
	}
	shown, err := json.Marshal(at)
	return string(shown), err
}

func let(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "let NAME PATH")
	value, err := pick(ts.ReadFile("stdout"), args[1])
	ts.Check(err)
	ts.Setenv(args[0], value)
}

func want(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "want PATH VALUE")
	got, err := pick(ts.ReadFile("stdout"), args[0])
	ts.Check(err)
	if wanted := fill(ts, args[1:])[0]; got != wanted {
		ts.Fatalf("%s is %s, want %s", args[0], got, wanted)
	}
}

// fillFile replaces $NAME in a file.
func fillFile(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "fill FILE")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(fill(ts, []string{ts.ReadFile(args[0])})[0]), 0o600))
}

// size takes the length of a file.
func size(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "bytes NAME FILE")
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Setenv(args[0], strconv.FormatInt(info.Size(), 10))
}

// etag takes the tag of the last answer.
func etag(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "etag NAME")
	for _, line := range strings.Split(ts.ReadFile("stderr"), "\n") {
		if value, ok := strings.CutPrefix(line, "Etag: "); ok {
			ts.Setenv(args[0], strings.TrimSpace(value))
			return
		}
	}
	ts.Fatalf("the last answer has no ETag")
}

// poems writes poems that nobody has written before.
func poems(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "poems DIR COUNT")
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.MkdirAll(ts.MkAbs(args[0]), 0o700))
	for n := range count {
		var text strings.Builder
		for range 6 {
			for range 7 {
				fmt.Fprintf(&text, "%s ", strings.ToLower(rand.Text()[:4]))
			}
			text.WriteByte('\n')
		}
		ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), fmt.Sprintf("%02d.txt", n+1)), []byte(text.String()), 0o600))
	}
}

// verse is what the scripts' datanets are.
const verse = `
title: Verse
description: Poems for the stories
tags: [verse]
modality: text
licence: {purposes: [research, commercial-service], derivativePpm: 0}
policy: {validators: [PoetrySocietyMSP, NationalLibraryMSP, AILabMSP], quorum: 2, maxDerivedPpm: 500000, dataPpm: 600000,
  validatorsPpm: 100000, tau: 12, attestationQuorum: 1, rest: by-tokens}
`

// pool does what the stories of curator and contributor tell at length.
func (s *stage) pool(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2 || len(args) == 3, "pool NAME COUNT [ATTESTORS]")
	attestors := "1"
	if len(args) == 3 {
		attestors = args[2]
	}
	datanet := "PoetrySocietyMSP/" + args[0]
	do := func(person string, words ...string) {
		s.as(ts, false, []string{person})
		s.run(ts, false, words)
	}
	ts.Check(os.WriteFile(ts.MkAbs("verse.yaml"), []byte(strings.Replace(verse, "attestationQuorum: 1", "attestationQuorum: "+attestors, 1)), 0o600))
	do("curator1@poetrysociety", "datanet", "create", datanet, "--from", "verse.yaml")
	poems(ts, false, []string{args[0], args[1]})
	do("contributor1@poetrysociety", "contribution", "add", args[0], "--datanet", datanet, "--method", "authored", "--from-year", "2020",
		"--to-year", "2021", "--languages", "fa")
	_, header := s.send(ts, []string{"200", "GET", "/v1/members"})
	for _, validator := range []string{"validator1@nationallibrary", "validator1@ailab"} {
		s.as(ts, false, []string{validator})
		s.until(ts, true, []string{"members", "[]", "200", "GET", "/v1/members?min_height=" + header.Get("Datanet-Height")}) // its gateway knows of them
		do(validator, "validate", "vote", "--all", "--datanet", datanet, "--choice", "approve", "--score", "90", "--current-report")
	}
	s.as(ts, false, []string{"curator1@poetrysociety"})
	s.await(ts, false, []string{"seal.appended/1", datanet, `"count":` + args[1]})
	ts.Setenv("DATANET", datanet)
}

// event is one of the gateway's stream.
type event struct {
	id, data string
	name     string
	payload  json.RawMessage
}

// events reads the gateway's stream after a place until each says that it is enough.
func (s *stage) events(ts *testscript.TestScript, after, query string, each func(event) (enough bool)) {
	d, err := s.door(ts.Getenv("ORG"))
	ts.Check(err)
	client, err := d.client(folder(ts))
	ts.Check(err)
	client.Timeout = 0 // the stream lasts until the event comes
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+"/v1/events"+query, nil)
	ts.Check(err)
	request.Header.Set("Last-Event-ID", after)
	response, err := client.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		ts.Fatalf("the stream of events answered %s", response.Status)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 16<<20)
	var one event
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			one.id = value
		case "data":
			one.data = value
		case "":
			if one.data == "" {
				continue
			}
			var change struct {
				Event   string          `json:"event"`
				Payload json.RawMessage `json:"payload"`
			}
			ts.Check(json.Unmarshal([]byte(one.data), &change))
			one.name, one.payload = change.Event, change.Payload
			if each(one) {
				return
			}
			one = event{id: one.id}
		}
	}
	ts.Fatalf("the stream of events ended first: %v", lines.Err())
}

func (e event) holds(name string, words []string) bool {
	return e.name == name && !slices.ContainsFunc(words, func(w string) bool { return !bytes.Contains(e.payload, []byte(w)) })
}

func (s *stage) await(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "await EVENT WORD...")
	args = fill(ts, args)
	s.events(ts, "0.0", "", func(e event) bool {
		if e.holds(args[0], args[1:]) {
			_, err := io.WriteString(ts.Stdout(), e.data)
			ts.Check(err)
			return true
		}
		return false
	})
}

func (s *stage) follow(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "follow FROM EVENT WORD...")
	args = fill(ts, args)
	out := ts.Stdout()
	s.events(ts, args[0], "?datanet="+ts.Getenv("DATANET"), func(e event) bool {
		_, err := fmt.Fprintln(out, e.id)
		ts.Check(err)
		ts.Setenv("LAST", e.id)
		return e.holds(args[1], args[2:])
	})
}

// objects looks into the gateway's own store.
func (s *stage) objects(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "objects FILE DATANET")
	home := ts.Getenv("FOLDER")
	db, err := database.Open(context.Background(), database.SQLiteURL(filepath.Join(home, "state.db")))
	ts.Check(err)
	defer db.Close()
	rows, err := db.QueryContext(context.Background(), db.Rebind(`SELECT object FROM content_parts JOIN content_items ON item = id WHERE datanet = ? ORDER BY object`), fill(ts, args)[1])
	ts.Check(err)
	defer rows.Close()
	var list strings.Builder
	for rows.Next() {
		var object string
		ts.Check(rows.Scan(&object))
		path := filepath.Join(home, "content", filepath.FromSlash(object))
		if _, err := os.Stat(path); err != nil {
			ts.Fatalf("an object is missing: %v", err)
		}
		fmt.Fprintln(&list, path)
	}
	ts.Check(rows.Err())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(list.String()), 0o600))
}

func gone(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "gone FILE")
	paths := strings.Fields(ts.ReadFile(args[0]))
	if len(paths) == 0 {
		ts.Fatalf("%s names no files", args[0])
	}
	for _, path := range paths {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			ts.Fatalf("%s is still there (%v)", path, err)
		}
	}
}

// writes are the operations of an API document that are no reads, by method and path.
func writes(document []byte) (map[[2]string]string, error) {
	var read struct {
		Paths map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal(document, &read); err != nil {
		return nil, err
	}
	found := map[[2]string]string{}
	for path, methods := range read.Paths {
		for method, operation := range methods {
			if method != "get" {
				found[[2]string{strings.ToUpper(method), path}] = operation.OperationID
			}
		}
	}
	return found, nil
}

func (s *stage) readOnly(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "readonly")
	d, err := s.door(ts.Getenv("ORG"))
	ts.Check(err)
	member, err := s.door(s.state.Topology().Members[0].Name)
	ts.Check(err)
	own, err := writes(d.document)
	ts.Check(err)
	all, err := writes(member.document)
	ts.Check(err)
	client, err := d.client(folder(ts))
	ts.Check(err)
	client.Transport.(*http.Transport).DisableKeepAlives = false
	defer client.CloseIdleConnections()
	var kept []string
	for operation, name := range all {
		if own[operation] != "" {
			kept = append(kept, name)
			continue
		}
		path := strings.NewReplacer("{", "", "}", "").Replace(operation[1])
		request, err := http.NewRequest(operation[0], d.url+path, strings.NewReader("{}"))
		ts.Check(err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", "a-write")
		response, err := client.Do(request)
		ts.Check(err)
		ts.Check(response.Body.Close())
		if response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusMethodNotAllowed {
			ts.Fatalf("%s %s answers %s", operation[0], path, response.Status)
		}
	}
	slices.Sort(kept)
	if len(all)-len(kept) < 50 {
		ts.Fatalf("only %d writes were tried", len(all)-len(kept))
	}
	_, err = fmt.Fprintln(ts.Stdout(), strings.Join(kept, "\n"))
	ts.Check(err)
}

func (s *stage) crash(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "crash NODE")
	process, err := s.process(args[0])
	ts.Check(err)
	ts.Check(process.Kill())
	// The supervisor has to notice before it can heal.
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(answerLimit); time.Now().Before(deadline); <-ticker.C {
		if _, err := s.process(args[0]); err != nil {
			return
		}
	}
	ts.Fatalf("%s still runs", args[0])
}

func (s *stage) heal(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "heal")
	ts.Check(s.untilWell())
}

// untilWell starts what has ended and waits until every process says that it is well: a gateway looks after its peer only
// now and then.
func (s *stage) untilWell() error {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	err := s.network("up")
	for deadline := time.Now().Add(answerLimit); err != nil && time.Now().Before(deadline); <-ticker.C {
		err = s.network("up")
	}
	return err
}
