package lifecycle_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/lifecycle"
	"github.com/datanet-consortium/datanet/network/pki"
)

func operator(t *testing.T) *pki.Organization {
	t.Helper()
	op := network.Operator{Name: "op", MSPID: "OpMSP", Domain: "op.example", Orderer: network.Orderer{Host: "127.0.0.1"}}
	o, err := pki.EnsureOperator(t.TempDir(), &op)
	require.NoError(t, err)
	return o
}

// adminAPI is an orderer's admin listener with the answers of Fabric's.
type adminAPI struct {
	joinStatus int
	channels   map[string]string
	received   *common.Block
}

func (a *adminAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const root = "/participation/v1/channels"
	switch {
	case r.Method == http.MethodPost && r.URL.Path == root:
		file, _, err := r.FormFile("config-block")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		raw, _ := io.ReadAll(file)
		a.received = &common.Block{}
		if err := proto.Unmarshal(raw, a.received); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(a.joinStatus)
		if a.joinStatus >= 400 {
			_, _ = io.WriteString(w, `{"error":"cannot join: some reason"}`)
		}
	case r.Method == http.MethodGet:
		info, ok := a.channels[strings.TrimPrefix(r.URL.Path, root+"/")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, info)
	}
}

func serveAdmin(t *testing.T, o *pki.Organization, api *adminAPI) string {
	t.Helper()
	cert, err := o.Orderer().TLS.Certificate()
	require.NoError(t, err)
	clients := x509.NewCertPool()
	clients.AddCert(o.TLSCA.Certificate)
	server := httptest.NewUnstartedServer(api)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestJoinOrderer(t *testing.T) {
	const active = `{"name":"datanet","url":"/participation/v1/channels/datanet","consensusRelation":"consenter","status":"active","height":7}`
	for name, c := range map[string]struct {
		api  adminAPI
		want string
	}{
		"a new channel is joined":             {adminAPI{joinStatus: 201}, ""},
		"a channel that it has is success":    {adminAPI{joinStatus: 405, channels: map[string]string{"datanet": active}}, ""},
		"405 without the channel is an error": {adminAPI{joinStatus: 405}, "join channel datanet: status 405: cannot join: some reason"},
		"another refusal is an error":         {adminAPI{joinStatus: 409}, "join channel datanet: status 409: cannot join: some reason"},
	} {
		t.Run(name, func(t *testing.T) {
			o := operator(t)
			address := serveAdmin(t, o, &c.api)
			client, err := o.AdminTLS().Certificate()
			require.NoError(t, err)
			admin, err := lifecycle.NewOrderer(address, client, o.TLSCA.PEM)
			require.NoError(t, err)
			defer admin.Close()
			block := &common.Block{Header: &common.BlockHeader{DataHash: []byte("x")}}
			err = admin.Join(t.Context(), "datanet", block)
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.want)
			}
			require.True(t, proto.Equal(block, c.api.received))
			info, ok, err := admin.Channel(t.Context(), "datanet")
			require.NoError(t, err)
			require.Equal(t, c.api.channels != nil, ok)
			if ok {
				require.Equal(t, lifecycle.OrdererChannel{Name: "datanet", Height: 7, Status: "active", ConsensusRelation: "consenter"}, info)
			}
		})
	}
}

func TestAdminAPIIsNotTrustedBlindly(t *testing.T) {
	o, stranger := operator(t), operator(t)
	address := serveAdmin(t, o, &adminAPI{joinStatus: 201})
	client, err := o.AdminTLS().Certificate()
	require.NoError(t, err)
	admin, err := lifecycle.NewOrderer(address, client, stranger.TLSCA.PEM)
	require.NoError(t, err)
	require.ErrorContains(t, admin.Join(t.Context(), "datanet", &common.Block{}), "certificate signed by unknown authority")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, admin.Join(ended, "datanet", &common.Block{}), context.Canceled)

	_, err = lifecycle.NewOrderer(address, client, []byte("no PEM"))
	require.ErrorContains(t, err, "a TLS authority is not a PEM certificate")
}

// broadcaster is an orderer that gives one answer.
type broadcaster struct {
	orderer.UnimplementedAtomicBroadcastServer
	status   common.Status
	received int
}

func (b *broadcaster) Broadcast(stream grpc.BidiStreamingServer[common.Envelope, orderer.BroadcastResponse]) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	b.received++
	return stream.Send(&orderer.BroadcastResponse{Status: b.status, Info: "because"})
}

func serveGRPC(t *testing.T, o *pki.Organization, register func(*grpc.Server)) grpc.ClientConnInterface {
	t.Helper()
	cert, err := o.Orderer().TLS.Certificate()
	require.NoError(t, err)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})))
	register(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	conn, err := lifecycle.Dial(listener.Addr().String(), o.TLSCA.PEM)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		server.Stop()
		<-done
	})
	return conn
}

func TestBroadcast(t *testing.T) {
	const ok, busy, bad = common.Status_SUCCESS, common.Status_SERVICE_UNAVAILABLE, common.Status_BAD_REQUEST
	for name, c := range map[string]struct {
		answers  []common.Status
		received []int
		want     string
	}{
		"the first that accepts is enough":            {[]common.Status{ok, ok}, []int{1, 0}, ""},
		"one that is not ready is passed over":        {[]common.Status{busy, ok}, []int{1, 1}, ""},
		"a refusal is final":                          {[]common.Status{bad, ok}, []int{1, 0}, "the orderer refuses it with BAD_REQUEST: because"},
		"if none is ready every reason is told":       {[]common.Status{busy, busy}, []int{1, 1}, "the orderer answers SERVICE_UNAVAILABLE: because\nthe orderer answers"},
		"without orderers there is nobody to send to": {nil, nil, "no orderer to send to"},
	} {
		t.Run(name, func(t *testing.T) {
			o := operator(t)
			var conns []grpc.ClientConnInterface
			var orderers []*broadcaster
			for _, s := range c.answers {
				b := &broadcaster{status: s}
				orderers = append(orderers, b)
				conns = append(conns, serveGRPC(t, o, func(s *grpc.Server) { orderer.RegisterAtomicBroadcastServer(s, b) }))
			}
			err := lifecycle.Broadcast(t.Context(), conns, &common.Envelope{Payload: []byte("p")})
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.want)
			}
			for i, b := range orderers {
				require.Equal(t, c.received[i], b.received)
			}
		})
	}
}
