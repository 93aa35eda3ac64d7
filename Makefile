# Datanet. Needs Go and make; everything else is built from pinned modules.
GO ?= go
DIR ?= .datanet
ORDERING ?= bft

.PHONY: demo test build integration soak bench network down fmt vet clean

demo: build ## the main job end to end on a real network, which stays up
	bin/datanet demo --dir $(DIR) $(if $(CORPUS),--corpus $(CORPUS))

test: ## every test; real Fabric included
	$(GO) test -timeout 12m ./...

build: ## the programs, into bin/
	$(GO) build -o bin/ ./cmd/...

integration: ## only the tests that start real Fabric
	$(GO) test -timeout 12m ./integration/... ./test-network/... ./cmd/...

soak: ## the large counts; takes long
	$(GO) test -timeout 60m ./chaincode/token -run TestCreditsAreConserved -v -args -token.operations=100000
	$(GO) test -timeout 60m ./integration -run TestConcurrentClientsConserveCredits -v -args -soak

bench: build ## one table; JSON=FILE also writes its rows
	$(GO) run ./bench $(if $(JSON),--json $(JSON))

network: build ## a local network with our chaincode committed
	bin/datanet network up --dir $(DIR) --ordering $(ORDERING)

down: build
	bin/datanet network down --dir $(DIR)

fmt:
	gofmt -w $$(git ls-files '*.go')

vet:
	$(GO) vet ./...

clean:
	rm -rf bin
