package serving_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	ledgersession "github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/serving"
)

// till is a consumer that checks nothing.
type till struct {
	session ledgersession.Session
	key     ed25519.PrivateKey
	tree    merkle.Frontier
	amount  uint64
	client  *http.Client
}

func (c *till) once(h *house, body []byte) error {
	r := use.Request{Number: c.tree.Size(), Cap: 500_000, Body: sha256.Sum256(body)}
	digest, err := r.Digest()
	if err != nil {
		return err
	}
	a := openai.Ask{Request: r, Voucher: use.Voucher{Session: c.session.ID, Card: c.session.Card, N: c.tree.Size(), Amount: c.amount, Root: c.tree.Root(), Request: digest}}
	if a.Signature, err = use.Sign(c.key, a.Voucher); err != nil {
		return err
	}
	header, err := a.Encode()
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, h.server.URL+openai.ChatPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set(openai.VoucherHeader, header)
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(string(all))
	}
	answer, err := openai.ReadAnswer(openai.Chat, all)
	if err != nil {
		return err
	}
	leaf, err := use.DecodeLeaf(answer.Datanet.Leaf)
	if err != nil {
		return err
	}
	hash, err := leaf.Hash()
	c.tree.Append(hash)
	c.amount += leaf.Fee
	return err
}

// BenchmarkPaidAnswers has the built-in model answer 64 consumers on loopback, with a journal on disk.
func BenchmarkPaidAnswers(b *testing.B) {
	h := newHouse(b, func(o *serving.Options) { o.Abreast = 1024 })
	file, err := journal.OpenFile(filepath.Join(b.TempDir(), "meter.journal"))
	require.NoError(b, err)
	h.stop()
	h.medium, h.limits = file, meter.Limits{Exposure: 1 << 50, Unsettled: 1 << 30}
	h.start()
	consumers := make(chan *till, 64)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	for range cap(consumers) {
		p := h.payer(1<<39, nil)
		consumers <- &till{session: p.session, key: p.key, client: &http.Client{Transport: transport}}
	}
	body := []byte(fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"we happy few"}],"max_tokens":40,"seed":7}`, h.model()))
	first := <-consumers
	for first.once(h, body) != nil {
	}
	consumers <- first
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var work sync.WaitGroup
	for range cap(consumers) {
		c := <-consumers
		work.Go(func() {
			for left.Add(-1) >= 0 {
				if err := c.once(h, body); err != nil && !strings.Contains(err.Error(), "window") {
					b.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
	b.ReportMetric(float64(h.meter.Syncs())/float64(b.N), "syncs/answer")
}
