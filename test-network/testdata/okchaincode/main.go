// Command okchaincode is a small chaincode with which the tests of the local network see that transactions go through.
// Its functions are "put", which takes {"key":…,"value":…}, "get", which takes {"key":…}, and "version".
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

// version is changed when the tests build the program a second time.
var version = "1.0"

type chaincode struct{}

func (chaincode) Init(shim.ChaincodeStubInterface) *peer.Response { return shim.Success(nil) }

func (chaincode) Invoke(stub shim.ChaincodeStubInterface) *peer.Response {
	function, arguments := stub.GetFunctionAndParameters()
	var request struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	if len(arguments) != 1 {
		return shim.Error("give one JSON document")
	}
	if err := json.Unmarshal([]byte(arguments[0]), &request); err != nil {
		return shim.Error(err.Error())
	}
	switch function {
	case "put":
		if err := stub.PutState(request.Key, []byte(request.Value)); err != nil {
			return shim.Error(err.Error())
		}
		return shim.Success(nil)
	case "get":
		value, err := stub.GetState(request.Key)
		if err != nil {
			return shim.Error(err.Error())
		}
		return shim.Success(value)
	case "version":
		return shim.Success([]byte(version))
	default:
		return shim.Error("unknown function " + function)
	}
}

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve() error {
	files := map[string][]byte{}
	for _, name := range []string{"CHAINCODE_TLS_CERT", "CHAINCODE_TLS_KEY", "CHAINCODE_CLIENT_CA", "DATANET_GENESIS_BLOCK"} {
		content, err := os.ReadFile(os.Getenv(name))
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		files[name] = content
	}
	server := shim.ChaincodeServer{
		CCID: os.Getenv("CHAINCODE_ID"), Address: os.Getenv("CHAINCODE_SERVER_ADDRESS"), CC: chaincode{},
		TLSProps: shim.TLSProperties{Cert: files["CHAINCODE_TLS_CERT"], Key: files["CHAINCODE_TLS_KEY"], ClientCACerts: files["CHAINCODE_CLIENT_CA"]},
	}
	return server.Start()
}
