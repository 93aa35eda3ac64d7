# Datanet. Needs Go and make; everything else is built from pinned modules.
GO ?= go
DIR ?= .datanet
ORDERING ?= bft
FUZZ ?= 10000000x

.PHONY: demo test build integration conformance soak fuzz bench bench-gateway bench-usage bench-audit bench-parts bench-attribution network down fmt vet clean bench-questions

demo: build ## the main job end to end on a real network, which stays up
	bin/datanet demo --dir $(DIR) $(if $(CORPUS),--corpus $(CORPUS))

test: ## every test; real Fabric included
	$(GO) test -timeout 12m ./...

build: ## the programs, into bin/
	$(GO) build -ldflags "-s -w" -o bin/ ./cmd/...

integration: ## only the tests that start real Fabric
	$(GO) test -timeout 12m ./integration/... ./test-network/... ./cmd/...

conformance: ## the in-memory ledger against Fabric's own validation code
	$(GO) test -timeout 30m -tags conformance ./chaincode/memledger/replay -rapid.checks=3000

soak: ## the large counts; takes long
	$(GO) test -timeout 60m ./chaincode/token -run TestCreditsAreConserved -v -args -token.operations=100000
	$(GO) test -timeout 60m ./integration -run 'TestRealNetwork/(concurrent_clients|raw_state)' -v -args -operations=10000
	$(GO) test -timeout 60m ./integration -run TestSealingOnMemledger -v -args -sealed=100000
	$(GO) test -timeout 60m ./integration -run TestRealNetwork/sealing -v -args -sealed-real=10000
	$(GO) test -timeout 60m ./integration/openai -v -args -paid=20000 -kills=30 -node-kills=24 -payers=72
	$(GO) test -timeout 60m ./gateway/index -run TestKills -v -args -kills=200
	$(GO) test -timeout 60m ./gateway/content -run TestALargeContentTakesConstantMemory -v -args -content.large=1000000000
	$(GO) test -timeout 60m ./integration -run TestWhatGatewaysWrite -v
	$(GO) test -timeout 120m ./audit/verify -run TestEveryByteOfABlock -v -args -flips.stride=1
	$(GO) test -timeout 60m -race -short ./audit/verify
	[ -e $(LEDGER)/manifest.json ] || $(GO) run ./bench --ledger $(LEDGER) --size $(LEDGER_SIZE) --ordering raft --transactions 2000 --sessions 100
	$(MAKE) bench-audit
	$(GO) run ./bench/attribution --only equal --cases 20000
	$(GO) test -timeout 60m ./attribution/indexed -args -indexed.cases=20000
	$(GO) test -timeout 60m ./attribution/infgram -rapid.checks=10000
	$(GO) test -timeout 60m ./attribution/index -rapid.checks=3000
	GOARCH=386 $(GO) test -timeout 60m ./attribution/...
	$(MAKE) fuzz

# How long each decoder outside attribution: as FUZZ says, if it is given.
OTHER_FUZZ ?= $(if $(filter file,$(origin FUZZ)),60s,$(FUZZ))

fuzz: ## every fuzz target there is; FUZZ=20s or 1000000x says how long each, by default ten million executions of attribution's and a minute of others
	for target in $$(grep -rn '^func Fuzz' --include='*_test.go' . | sed 's|^\./\(.*\)/[^/]*_test\.go:.*func \(Fuzz[A-Za-z0-9]*\).*|\1:\2|'); do \
		case $$target in attribution/*) duration=$(FUZZ);; *) duration=$(OTHER_FUZZ);; esac; \
		$(GO) test ./$${target%:*} -run '^$$' -fuzz "^$${target#*:}\$$" -fuzztime $$duration -fuzzminimizetime 5x -timeout 0 || exit 1; \
	done

bench: build ## one table; JSON=FILE also writes its rows
	$(GO) run ./bench $(if $(JSON),--json $(JSON))

bench-gateway: ## reads, writes and content of a gateway; JSON=FILE also writes rows
	$(GO) run ./bench/gateway $(if $(JSON),--json $(JSON))

bench-usage: ## paid use of a model through two gateways, beside unpaid use; JSON=FILE also writes rows
	$(GO) run ./bench/usage $(if $(JSON),--json $(JSON))

bench-questions: ## the regulator's questions over a year of a million transactions; JSON=FILE also writes rows
	$(GO) run ./bench/questions $(if $(JSON),--json $(JSON))

LEDGER ?= $(HOME)/.cache/datanet/audit-ledger
LEDGER_SIZE ?= 100000

bench-audit: ## verification beside its bare signature checks: of the ledger that soak made, or of one made in memory; LEDGER=FOLDER
	$(GO) run ./bench/audit $(LEDGER) --make $(LEDGER_SIZE) $(if $(JSON),--json $(JSON))

PARTS ?= $(HOME)/.cache/datanet/audit-uses
USES ?= 100000

bench-parts: ## receipts, texts and contents of a bundle made in memory, beside the bare recomputation of its receipts; PARTS=FOLDER USES=N
	$(GO) run ./bench/audit $(PARTS) --uses $(USES) $(if $(JSON),--json $(JSON))

bench-attribution: ## the gates of proof of attribution; VERSE=DIR and TEXT=DIRS name the input, JSON=FILE also writes rows
	$(GO) run ./bench/attribution $(if $(VERSE),--verse $(VERSE)) $(if $(TEXT),--text $(TEXT)) $(if $(JSON),--json $(JSON))

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
