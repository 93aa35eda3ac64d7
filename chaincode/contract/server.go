package contract

import (
	"fmt"
	"os"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
)

// Server serves a chaincode to one peer over mutual TLS, with the settings of command chaincode.
func Server(getenv func(string) string, cc shim.Chaincode) (*shim.ChaincodeServer, error) {
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
		data, err := ReadSetting(getenv, name)
		if err != nil {
			return nil, err
		}
		*content = data
	}
	return server, nil
}

// ReadSetting reads the file that an environment variable names.
func ReadSetting(getenv func(string) string, name string) ([]byte, error) {
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
