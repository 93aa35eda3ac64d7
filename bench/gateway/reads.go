package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// readers is how many clients read at once.
const readers = 16

// reading is a read over the HTTP interface, and the same of the index alone.
type reading struct {
	name string
	path func(contribution.Named) string
	read func(context.Context, *index.Index, contribution.Named) error
}

func (b *site) readings() []reading {
	page := ledger.PageRequest{Limit: 50}
	return []reading{
		{"get a contribution",
			func(n contribution.Named) string {
				return "/v1/datanets/" + n.Datanet + "/contributions/" + n.ID
			},
			func(ctx context.Context, x *index.Index, n contribution.Named) error {
				_, err := x.Entry(ctx, contribution.Key(n.Datanet, n.ID))
				return err
			}},
		{"list 50 contributions of a contributor",
			func(n contribution.Named) string {
				return "/v1/lists/contributions?" + url.Values{"limit": {"50"}, "account": {b.author(n)}}.Encode()
			},
			func(ctx context.Context, x *index.Index, n contribution.Named) error {
				_, err := x.Entries(ctx, index.Filter{Kind: "contribution", Account: b.author(n)}, page)
				return err
			}},
		{"history of a contribution",
			func(n contribution.Named) string {
				key, _ := json.Marshal([]string{"contribution", n.Datanet, n.ID}) // of texts, which cannot fail
				return "/v1/history?" + url.Values{"key": {string(key)}}.Encode()
			},
			func(ctx context.Context, x *index.Index, n contribution.Named) error {
				_, err := x.History(ctx, contribution.Key(n.Datanet, n.ID), page)
				return err
			}},
	}
}

// author spreads lists over the contributors.
func (b *site) author(n contribution.Named) string {
	return string(ledger.NewAccount(b.msp, contributors[int(n.ID[0])%len(contributors)]))
}

// some chooses a contribution for each read, far from the one before.
func (b *site) some(number int) contribution.Named { return b.known[(number*7919)%len(b.known)] }

// reads measures reads over HTTP, on connections that stay open, and those of an index alone.
func (b *site) reads(ctx context.Context, r *report) error {
	alone, err := b.indexAlone(ctx)
	if err != nil {
		return err
	}
	defer alone.Close()
	var clients []*http.Client
	for i := range readers {
		c, err := b.connection(contributors[i%len(contributors)])
		if err != nil {
			return err
		}
		defer c.CloseIdleConnections()
		clients = append(clients, c)
	}
	if err := b.reaches(ctx, clients[0], alone.height); err != nil {
		return err
	}
	return b.profiled(func() error {
		for _, reading := range b.readings() {
			var direct, single, many []burst
			for turn := range b.repetitions + 1 { // the first one, which fills caches, does not count
				d, err := fire(ctx, readers, b.settings.reads, func(ctx context.Context, _, number int) error {
					return reading.read(ctx, alone.Index, b.some(number))
				})
				if err != nil {
					return err
				}
				over := func(ctx context.Context, client, number int) error {
					return fetch(ctx, clients[client], "https://"+b.gateway.Address()+reading.path(b.some(number)))
				}
				one, err := fire(ctx, 1, max(1, b.settings.reads/5), over)
				if err != nil {
					return err
				}
				all, err := fire(ctx, readers, b.settings.reads, over)
				if err != nil {
					return err
				}
				if turn > 0 {
					direct, single, many = append(direct, d), append(single, one), append(many, all)
					b.say(fmt.Sprintf("%d/%d %-40s %.0f/s of %.0f/s", turn, b.repetitions, reading.name, all.rate(), d.rate()))
				}
			}
			r.add(reading.name+fmt.Sprintf(", index alone, %d at once", readers), direct, "", nil)
			r.add(reading.name+", 1 client", single, "", nil)
			r.add(reading.name+fmt.Sprintf(", %d clients", readers), many, "index alone", direct)
		}
		return nil
	})
}

// alone is an index of its own, of the same blocks.
type alone struct {
	*index.Index
	db     *database.DB
	height uint64
}

func (a *alone) Close() error { return a.db.Close() }

func (b *site) indexAlone(ctx context.Context) (*alone, error) {
	db, err := database.Open(ctx, database.SQLiteURL(filepath.Join(b.dir, "alone.db"))+"?synchronous=normal")
	if err != nil {
		return nil, err
	}
	follower, err := b.party(b.msp, "operator1")
	if err != nil {
		return nil, err
	}
	a := &alone{db: db}
	if a.height, err = follower.Height(ctx); err != nil {
		return nil, err
	}
	if a.Index, err = index.Open(ctx, db, b.topology.Chaincode.Name); err != nil {
		return nil, err
	}
	filling, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	begun := time.Now()
	go func() { ended <- a.Follow(filling, follower) }()
	err = a.WaitHeight(ctx, a.height)
	cancel()
	b.say(fmt.Sprintf("an index of %d blocks in %s", a.height, time.Since(begun).Round(time.Millisecond)))
	if failed := <-ended; err == nil {
		err = failed
	}
	return a, err
}

// connection is a client with one connection of its own.
func (b *site) connection(name string) (*http.Client, error) {
	folder := b.material.UserMSPDir(name)
	own, err := tls.LoadX509KeyPair(filepath.Join(folder, "signcerts", "cert.pem"), filepath.Join(folder, "keystore", "key.pem"))
	if err != nil {
		return nil, err
	}
	roots, err := client.ReadRoots(b.material.GatewayTLS().CAFile)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, DisableCompression: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, Certificates: []tls.Certificate{own}}}}, nil
}

func fetch(ctx context.Context, c *http.Client, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	size, err := io.Copy(io.Discard, response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || size == 0) {
		err = fmt.Errorf("%s is answered with %s and %d bytes", address, response.Status, size)
	}
	return err
}

// reaches waits until the gateway's index has so many blocks.
func (b *site) reaches(ctx context.Context, c *http.Client, height uint64) error {
	return fetch(ctx, c, fmt.Sprintf("https://%s/v1/members?min_height=%d", b.gateway.Address(), height))
}
