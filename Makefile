# Bulkhead. `make up` does the main job on a real Kubernetes on this machine; `make test` runs every test.

GO ?= go
LINT = $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VULN = $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0
CONTROLLER_GEN = $(GO) run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0
TESTFLAGS ?= -race

.DEFAULT_GOAL := help

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

kube: ## Build Kubernetes into bin/kube (minutes the first time, nothing when up to date).
	@./kube/build.sh

build: ## Build bin/bulkhead.
	@$(GO) build -o bin/bulkhead ./cmd/bulkhead

up: kube build ## Run Kubernetes with Bulkhead and the example platform on this machine; Ctrl-C ends it.
	@./bin/bulkhead up

test: kube ## Run every test, with the race detector.
	$(GO) test $(TESTFLAGS) -timeout 30m ./...
	$(GO) test -timeout 30m ./e2e/agreement ./e2e/mutation ./isolation/... # in full what the race detector sees a part of
	cd kube && $(GO) test -timeout 10m ./smoke # ./... would link all of Kubernetes into a test
	cd kube/authorizer && $(GO) test -timeout 10m . # the prover's RBAC against the API server's

bench: kube build ## Run the benchmarks and print their figures.
	$(GO) test -run '^$$' -bench . -benchtime 1x -benchmem -timeout 60m ./...

generate: ## Regenerate deep copies, CRDs and generated docs.
	$(CONTROLLER_GEN) object crd paths=./api/... output:crd:dir=api/crds
	$(GO) test ./decision/tenancy ./guardrail ./api/... ./internal/cli ./isolation/clustergen -run TestDocs -update

lint: ## Lint, and check the modules.
	$(GO) mod tidy -diff
	cd kube/authorizer && $(GO) mod tidy -diff # it follows the module above
	$(LINT) run ./...

vuln: ## Look for known vulnerabilities in what is called.
	$(VULN) ./...

clean: ## Remove what was built. The data of `make up` stays in .bulkhead/.
	rm -rf bin

.PHONY: help kube build up test bench generate lint vuln clean
