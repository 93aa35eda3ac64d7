package contract

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
)

// Serve serves a chaincode to one peer until the process gets SIGTERM or SIGINT, with the settings of command
// chaincode. build makes it for the channel's founding members.
func Serve(getenv func(string) string, build func(founders []string) (shim.Chaincode, error)) error {
	genesis, err := readSetting(getenv, "DATANET_GENESIS_BLOCK")
	if err != nil {
		return err
	}
	founders, err := Founders(genesis)
	if err != nil {
		return err
	}
	cc, err := build(founders)
	if err != nil {
		return err
	}
	server, err := newServer(getenv, cc)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	ended := make(chan error, 1)
	go func() { ended <- server.Start() }()
	select {
	case <-stop:
		return nil
	case err := <-ended:
		return err
	}
}

func newServer(getenv func(string) string, cc shim.Chaincode) (*shim.ChaincodeServer, error) {
	server := &shim.ChaincodeServer{CC: cc}
	for name, text := range map[string]*string{
		"CHAINCODE_ID":             &server.CCID,
		"CHAINCODE_SERVER_ADDRESS": &server.Address,
	} {
		if *text = getenv(name); *text == "" {
			return nil, fmt.Errorf("set %s", name)
		}
	}
	for name, content := range map[string]*[]byte{
		"CHAINCODE_TLS_CERT":  &server.TLSProps.Cert,
		"CHAINCODE_TLS_KEY":   &server.TLSProps.Key,
		"CHAINCODE_CLIENT_CA": &server.TLSProps.ClientCACerts,
	} {
		data, err := readSetting(getenv, name)
		if err != nil {
			return nil, err
		}
		*content = data
	}
	return server, nil
}

// readSetting reads the file that an environment variable names.
func readSetting(getenv func(string) string, name string) ([]byte, error) {
	path := getenv(name)
	if path == "" {
		return nil, fmt.Errorf("set %s to a file", name)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}
