//go:build linux || darwin

package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	document "github.com/datanet-consortium/datanet/audit/report"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// teller gives commands to a network as its users.
type teller struct {
	t        *testing.T
	programs programs
	dir      string
	home     string
	gateways map[string]string // URLs by organisation
}

// as runs a command as a user of an organisation; "" is whoever the user's profile says.
func (s *teller) as(org, user string, arguments ...string) result {
	s.t.Helper()
	if user != "" {
		arguments = append(arguments, "--identity", filepath.Join(s.dir, "crypto", org, "users", user, "msp"), "--gateway", s.gateways[org])
	}
	command := exec.CommandContext(s.t.Context(), s.programs.datanet, arguments...)
	command.Env = append(os.Environ(), "XDG_CONFIG_HOME="+s.home, "HOME="+s.home)
	var out, errs strings.Builder
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil {
		_, exited := err.(*exec.ExitError)
		require.True(s.t, exited, "%v", err)
	}
	return result{code: command.ProcessState.ExitCode(), stdout: out.String(), stderr: errs.String()}
}

// outcome is what a command that writes prints for programs.
type outcome struct {
	Block    uint64 `json:"block"`
	Response struct {
		ID     string `json:"id"`
		Digest string `json:"digest"`
	} `json:"response"`
}

func (s *teller) write(org, user string, arguments ...string) (w outcome) {
	s.t.Helper()
	r := s.as(org, user, append(arguments, "--json")...)
	require.Equal(s.t, exitSuccess, r.code, "%v: %s", arguments, r.stderr)
	require.NoError(s.t, json.Unmarshal([]byte(r.stdout), &w), r.stdout)
	require.Positive(s.t, w.Block)
	return w
}

// soon reads until the answer holds a text: the index of a gateway follows the blocks. Who builds on what another organisation's
// gateway has written waits for it so at the own one.
func (s *teller) soon(want, org, user string, arguments ...string) result {
	s.t.Helper()
	var r result
	eventually(s.t, func() error {
		if r = s.as(org, user, arguments...); r.code != exitSuccess || !strings.Contains(r.stdout, want) {
			return fmt.Errorf("%v: %d %s%s", arguments, r.code, r.stdout, r.stderr)
		}
		return nil
	})
	return r
}

const storyDatanet = `
title: Verse
description: Poems of some friends
modality: text
licence: {purposes: [research], derivativePpm: 0}
policy: {validators: [AILabMSP, NationalLibraryMSP, PoetrySocietyMSP], quorum: 2, maxDerivedPpm: 500000, dataPpm: 300000, validatorsPpm: 50000, tau: 10, attestationQuorum: 1, rest: equal}
`

func TestTheStoryFromInvitationToTrainingFromTheCommandLine(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Fabric")
	}
	p := build(t)
	dir := filepath.Join(t.TempDir(), "net")
	t.Cleanup(func() { p.run(t, "network", "down", "--dir", dir) })
	up := p.run(t, "network", "up", "--dir", dir, "--json")
	require.Equal(t, exitSuccess, up.code, up.stderr)
	s := &teller{t: t, programs: p, dir: dir, home: t.TempDir(), gateways: gatewaysOf(up.status(t))}
	const poetry, library, lab = "poetrysociety", "nationallibrary", "ailab"
	const verse = "PoetrySocietyMSP/verse"

	// The consortium begins, and agrees on the secret under which equal content is recognised.
	require.Equal(t, exitUnwell, s.as(lab, "validator1", "doctor").code, "nobody has founded the members yet")
	s.write(poetry, "operator1", "member", "found")
	params := s.as(poetry, "operator1", "proposal", "draw-secret")
	require.Equal(t, exitSuccess, params.code, params.stderr)
	proposed := s.write(poetry, "operator1", "proposal", "propose", "fingerprint.rotate", "--expires", "7d", "--params", strings.TrimSpace(params.stdout)).Response
	s.write(poetry, "operator2", "proposal", "approve", proposed.ID, proposed.Digest)
	s.soon(proposed.ID, lab, "operator1", "proposal", "list")
	s.write(lab, "operator1", "proposal", "approve", proposed.ID, proposed.Digest)
	s.soon("AILabMSP:operator1", poetry, "operator1", "proposal", "show", proposed.ID)
	s.write(poetry, "operator1", "proposal", "execute", proposed.ID)

	// A person is invited, enrols here and is known by a pseudonym.
	invited := s.as(library, "operator1", "identity", "invite", "--roles", "contributor", "--json")
	require.Equal(t, exitSuccess, invited.code, invited.stderr)
	var invitation struct{ Code string }
	require.NoError(t, json.Unmarshal([]byte(invited.stdout), &invitation))
	ca := filepath.Join(dir, "crypto", library, "tlsca", "cert.pem")
	enrol := []string{"identity", "enroll", "--gateway", s.gateways[library], "--ca", ca, "--code", invitation.Code}
	enrolled := s.as("", "", enrol...)
	require.Equal(t, exitSuccess, enrolled.code, enrolled.stderr)
	require.Regexp(t, `account +NationalLibraryMSP:[0-9a-f]{32}\n`, enrolled.stdout)
	require.Equal(t, exitRefused, s.as("", "", append(enrol, filepath.Join(s.home, "other"))...).code, "a code works once")
	require.Equal(t, exitSuccess, s.as("", "", "identity", "renew").code)
	require.Equal(t, exitAbsent, s.as("", "", "member", "list", "--ca", filepath.Join(dir, "crypto", lab, "tlsca", "cert.pem")).code, "a gateway that is not trusted")
	s.write("", "", "account", "open")

	// A datanet, and a folder of poems, one of which is there twice.
	file := filepath.Join(s.home, "verse.yaml")
	require.NoError(t, os.WriteFile(file, []byte(storyDatanet), 0o600))
	for _, who := range [][2]string{{poetry, "curator1"}, {poetry, "validator1"}, {lab, "validator1"}, {lab, "trainer1"}} {
		s.write(who[0], who[1], "account", "open")
	}
	s.write(poetry, "curator1", "datanet", "create", verse, "--from", file)
	refused := s.as(lab, "curator1", "datanet", "create", verse, "--from", file)
	require.Equal(t, exitRefused, refused.code, refused.stderr)
	poems := filepath.Join(s.home, "poems")
	require.NoError(t, os.Mkdir(poems, 0o700))
	for i, text := range []string{"moon over the quiet water", "iron and clay and sudden birds", "a lamp in the southern window", "moon over the quiet water"} {
		text = fmt.Sprintf("%s, and then the long road home through %s, where no one of us had slept", text, text)
		require.NoError(t, os.WriteFile(filepath.Join(poems, fmt.Sprintf("p%d.txt", i)), []byte(text), 0o600))
	}
	s.soon(verse, "", "", "datanet", "list")
	add := []string{"contribution", "add", poems, "--datanet", verse, "--method", "authored", "--from-year", "2020", "--to-year", "2024", "--languages", "en", "--author", "a friend"}
	added := s.as("", "", add...)
	require.Equal(t, exitFailure, added.code)
	require.Contains(t, added.stdout, "3 registered, 0 registered before, 1 failed")
	require.Contains(t, added.stdout, "equal content is registered already")
	require.NoError(t, os.Remove(filepath.Join(poems, "p3.txt")))
	require.NoError(t, os.WriteFile(filepath.Join(poems, "p4.txt"), []byte("one more poem about the northern stars and the harbour at noon, written later"), 0o600))
	added = s.as("", "", add...)
	if strings.Contains(added.stdout, "1 failed") { // either of the two equal ones may have been first
		require.Contains(t, added.stdout, "equal content")
	} else {
		require.Contains(t, added.stdout, ", 0 failed")
	}

	// Two organisations review and vote; what is approved is sealed.
	var queue struct{ Items []struct{ ID string } }
	require.NoError(t, json.Unmarshal([]byte(s.as("", "", "contribution", "list", verse, "--json").stdout), &queue))
	require.GreaterOrEqual(t, len(queue.Items), 3)
	for _, item := range queue.Items {
		for _, org := range []string{lab, poetry} {
			s.soon(item.ID, org, "validator1", "validate", "queue")
		}
	}
	first := s.as(lab, "validator1", "validate", "next")
	require.Contains(t, first.stdout, "compared with  0 contributions")
	vote := []string{"validate", "vote", verse}
	for _, item := range queue.Items {
		vote = append(vote, item.ID)
	}
	vote = append(vote, "--choice", "approve", "--score", "80", "--current-report")
	for _, org := range []string{lab, poetry} {
		cast := s.as(org, "validator1", vote...)
		require.Equal(t, exitSuccess, cast.code, cast.stderr)
		require.Contains(t, cast.stdout, fmt.Sprintf("%s cast, 0 refused", document.Count(len(queue.Items), "vote")))
	}
	for _, item := range queue.Items {
		if r := s.as(lab, "validator1", "validate", "finalise", verse, item.ID); r.code != exitSuccess {
			require.Equal(t, exitRefused, r.code, "the owner's gateway may have been first: %s", r.stderr)
		}
	}
	s.soon(fmt.Sprintf(`"count": %d`, len(queue.Items)), poetry, "curator1", "datanet", "sealed", verse, "--json")

	// A snapshot, a grant, a ticket, and the content for training.
	s.write(poetry, "curator1", "snapshot", "take", verse, "1")
	grant := s.write(poetry, "curator1", "grant", "give", verse, "AILabMSP", "--purposes", "research", "--expires", "30d").Response
	s.soon(grant.ID, lab, "trainer1", "grant", "list", verse)
	ticket := s.write(lab, "trainer1", "ticket", "open", "--snapshots", verse+"@1", "--purpose", "research", "--grants", verse+"@"+grant.ID).Response
	train := filepath.Join(s.home, "train")
	downloaded := s.as(lab, "trainer1", "ticket", "download", ticket.ID, "-o", train)
	require.Equal(t, exitSuccess, downloaded.code, downloaded.stderr)
	lines, err := os.ReadFile(filepath.Join(train, "PoetrySocietyMSP-verse@1.jsonl"))
	require.NoError(t, err)
	require.Equal(t, len(queue.Items), strings.Count(string(lines), "\n"))
	require.Contains(t, string(lines), "iron and clay")

	s.trainAndHandOver(lab, library, ticket.ID, train)

	// Who has no right gets nothing, and the regulator's gateway writes nothing.
	nothing := s.as(lab, "contributor1", "contribution", "get", verse, queue.Items[0].ID, "-o", filepath.Join(s.home, "stolen"))
	require.Equal(t, exitRefused, nothing.code, nothing.stderr)
	require.NoFileExists(t, filepath.Join(s.home, "stolen"))
	silent := s.as("regulator", "inspector1", "account", "open")
	require.NotEqual(t, exitSuccess, silent.code)
	require.Contains(t, silent.stderr, "only reads")
	well := s.as(lab, "validator1", "doctor")
	require.Equal(t, exitSuccess, well.code, well.stdout)
	require.Equal(t, 4, strings.Count(well.stdout, "answers, with the same functions as the others"))
}

// trainAndHandOver trains the built-in model and registers it, and an adapter that was trained elsewhere on the downloaded
// records. The host of another organisation gets the artifacts to its own gateway.
func (s *teller) trainAndHandOver(trainer, host, ticket, records string) {
	out := filepath.Join(s.home, "verse-model")
	trained := s.as(trainer, "trainer1", "model", "train", "--ticket", ticket, "--out", out)
	require.Equal(s.t, exitSuccess, trained.code, trained.stderr)
	again := s.as(trainer, "trainer1", "model", "train", "--ticket", ticket, "--out", out)
	require.Equal(s.t, trained.stdout, again.stdout, "the same again")
	written := s.as("", "", "attribute", "generate", "--built", filepath.Join(out, "corpus"), "--prompt", "the", "--tokens", "5")
	require.Equal(s.t, exitSuccess, written.code, written.stderr)
	require.NotEmpty(s.t, strings.TrimSpace(written.stdout))
	register := []string{"model", "register", "AILabMSP/verse", "1.0", "--artifact", out}
	first := s.write(trainer, "trainer1", register...)
	require.Equal(s.t, first.Response.Digest, s.write(trainer, "trainer1", register...).Response.Digest, "the same again is done")
	listed := s.as(trainer, "trainer1", "model", "artifacts", "AILabMSP/verse", "1.0")
	require.Contains(s.t, listed.stdout, "model.json")
	require.Equal(s.t, exitRefused, s.as(host, "host1", "model", "artifacts", "AILabMSP/verse", "1.0").code, "nobody hosts it yet")

	adapter := filepath.Join(s.home, "adapter")
	require.NoError(s.t, os.Mkdir(adapter, 0o700))
	require.NoError(s.t, os.WriteFile(filepath.Join(adapter, "adapter_config.json"), []byte(`{"peft_type":"LORA","base_model_name_or_path":"Qwen/Qwen2.5-0.5B","r":1}`), 0o600))
	header := `{"q.lora_A.weight":{"dtype":"U8","shape":[1,2],"data_offsets":[0,2]},"q.lora_B.weight":{"dtype":"U8","shape":[3,1],"data_offsets":[2,5]}}`
	weights := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header+"12345"...)
	require.NoError(s.t, os.WriteFile(filepath.Join(adapter, "adapter_model.safetensors"), weights, 0o600))
	lora := []string{"model", "register", "AILabMSP/verse-lora", "1.0", "--artifact", adapter, "--tickets", ticket, "--records", records}
	require.Equal(s.t, exitUsage, s.as(trainer, "trainer1", lora...).code, "its base is not described")
	s.write(trainer, "trainer1", append(lora, "--base-licence", "Apache-2.0", "--base-digest", strings.Repeat("ab", 32))...)
	shown := s.as(trainer, "trainer1", "model", "show", "AILabMSP/verse-lora", "1.0", "--json")
	require.Contains(s.t, shown.stdout, "huggingface.co/Qwen/Qwen2.5-0.5B")

	// The library's host consents to a rate card, and its gateway fetches what it is to serve.
	s.write(host, "host1", "account", "open")
	s.write(trainer, "operator1", "account", "open")
	schedule := `{"platform":"AILabMSP:operator1","platformPpm":50000,"issuer":"AILabMSP:operator1"}`
	proposed := s.write(trainer, "operator1", "proposal", "propose", "schedule.set", "--expires", "7d", "--params", schedule).Response
	s.write(trainer, "operator2", "proposal", "approve", proposed.ID, proposed.Digest)
	s.soon(proposed.ID, host, "operator1", "proposal", "list")
	s.write(host, "operator1", "proposal", "approve", proposed.ID, proposed.Digest)
	s.soon("NationalLibraryMSP:operator1", trainer, "operator1", "proposal", "show", proposed.ID)
	s.write(trainer, "operator1", "proposal", "execute", proposed.ID)
	for _, name := range []string{"AILabMSP/verse", "AILabMSP/verse-lora"} {
		s.write(trainer, "trainer1", "model", "publish", name, "1.0", "1", "--price-in", "1000", "--price-out", "5000", "--host", "NationalLibraryMSP:host1", "--host-ppm", "300000", "--owner-ppm", "300000")
		s.soon("NationalLibraryMSP:host1", host, "host1", "model", "cards", name, "1.0")
		s.write(host, "host1", "model", "accept", name, "1.0", "1")
	}
	s.soon("adapter_model.safetensors", host, "host1", "model", "artifacts", "AILabMSP/verse-lora", "1.0")
	fetched := filepath.Join(s.home, "fetched")
	eventually(s.t, func() error {
		if r := s.as(host, "host1", "model", "artifacts", "AILabMSP/verse", "1.0", "-o", fetched); r.code != exitSuccess {
			return fmt.Errorf("%s", r.stderr)
		}
		return nil
	})
	original, err := os.ReadFile(filepath.Join(out, "model.json"))
	require.NoError(s.t, err)
	copied, err := os.ReadFile(filepath.Join(fetched, "model.json"))
	require.NoError(s.t, err)
	require.Equal(s.t, original, copied)

	// The trainer signs the files; the regulator holds them against the ledger.
	signed := s.as(trainer, "trainer1", "audit", "sign-model", "AILabMSP/verse@1.0", out)
	require.Equal(s.t, exitSuccess, signed.code, signed.stderr)
	checks := []string{"audit", "verify-model", out, "--authority", filepath.Join(s.dir, "crypto", trainer, "ca", "cert.pem"), "--registered"}
	checked := s.as("regulator", "inspector1", checks...)
	require.Equal(s.t, exitSuccess, checked.code, checked.stderr)
	require.Contains(s.t, checked.stdout, "they hold every artifact that the ledger names")
	other := s.as(trainer, "trainer1", "audit", "sign-model", "AILabMSP/verse-lora@1.0", out)
	require.Equal(s.t, exitSuccess, other.code, other.stderr)
	checked = s.as("regulator", "inspector1", checks...)
	require.NotEqual(s.t, exitSuccess, checked.code)
	require.Contains(s.t, checked.stderr, "is none of the signed files")
}

// gatewaysOf are the URLs of a network's gateways, by the names of the organisations.
func gatewaysOf(status *testnetwork.Status) map[string]string {
	urls := map[string]string{}
	for _, node := range status.Nodes {
		if org, ok := strings.CutPrefix(node.Name, "gateway."); ok {
			urls[org] = "https://" + node.Address
		}
	}
	return urls
}
