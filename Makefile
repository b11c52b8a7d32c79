# Bulkhead. `make up` does the main job on a real Kubernetes on this machine; `make test` runs every test.

GO ?= go
RACE ?= -race
# Test programs that run at the same time, of those with the race detector and of those without: each has a Kubernetes of its own, and two of
# them keep two processors busy. Those of e2e take longest and begin first.
AT_ONCE ?= 1
# Benchmarks to run, as a regular expression: make bench BENCH=Flood.
BENCH ?= .

# Tools are built once; a new version here builds them again.
golangci-lint = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
govulncheck = golang.org/x/vuln/cmd/govulncheck@v1.9.0
controller-gen = sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0

# Packages without goroutines of their own, or whose goroutines run with the race detector elsewhere: it would only slow them down.
# All others run with it: controllers in e2e/controller and e2e/drills, attacks in internal/attack. What isolation does in parallel
# runs with it in the tests of its workers; commands and checks run what has its tests with it below them.
PLAIN = ./api/... ./decision/... ./examples ./guardrail/... ./hostile/... ./isolation/... ./snapshot/... \
	./internal/check ./internal/cli/... ./internal/install \
	./e2e/agreement ./e2e/attack ./e2e/badinput ./e2e/charts ./e2e/docs ./e2e/fields ./e2e/guardrail ./e2e/install ./e2e/mutation \
	./e2e/policy ./e2e/scale ./e2e/share ./e2e/up ./internal/kubeadmission .

.DEFAULT_GOAL := help

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

kube: ## Build Kubernetes into bin/kube (minutes the first time, nothing when up to date).
	@./kube/build.sh

build: ## Build bin/bulkhead.
	@$(GO) build -o bin/bulkhead ./cmd/bulkhead

up: kube build ## Run Kubernetes with Bulkhead and the example platform on this machine; Ctrl-C ends it.
	@./bin/bulkhead up

test: kube ## Run every test, with the race detector where there are goroutines.
	@$(GO) list $(PLAIN) >bin/plain
	@$(MAKE) --no-print-directory -j2 test-race test-plain

# Both at once: what waits for Kubernetes in one leaves the processors to the other.
test-race:
	$(GO) test $(RACE) -vet=off -timeout 60m -p $(AT_ONCE) $$($(GO) list ./e2e/... ./... | grep -vxFf bin/plain)
	$(GO) test $(RACE) -vet=off -timeout 10m -run Workers $$(grep -rlE --include='*_test.go' '^func Test.*Workers' ./isolation | xargs -n 1 dirname | sort -u)

test-plain:
	$(GO) test -vet=off -timeout 60m -p $(AT_ONCE) $$($(GO) list ./e2e/... ./... | grep -xFf bin/plain)
	cd kube && $(GO) test -vet=off -timeout 10m ./smoke # ./... would link all of Kubernetes into a test
	cd kube/oracles && $(GO) test -vet=off -timeout 10m ./... # the prover next to the API server: RBAC, defaults

bench: kube build ## Run the benchmarks and print their figures; BENCH=Flood runs those of that name.
	@packages=$$(grep -rHoE --include='*_test.go' '^func Benchmark[A-Za-z0-9_]*' . | sed 's|/[^/]*:func | |' | \
		awk -v bench='$(BENCH)' 'BEGIN {split(bench, name, "/")} $$2 ~ name[1] {print $$1}' | sort -u); \
	[ -n "$$packages" ] || { echo "no benchmark is named $(BENCH)" >&2; exit 1; }; \
	$(GO) test -vet=off -run '^$$' -bench '$(BENCH)' -benchtime 1x -benchmem -timeout 4h $$packages

generate: bin/tools/controller-gen ## Regenerate deep copies, CRDs and generated docs.
	bin/tools/controller-gen object crd paths=./api/... output:crd:dir=api/crds
	$(GO) test . ./decision/tenancy ./guardrail ./guardrail/fields ./api/... ./internal/cli ./isolation/clustergen -run TestDocs -update

lint: bin/tools/golangci-lint bin/tools/controller-gen ## Lint; check the modules and what controller-gen generates.
	$(GO) mod tidy -diff
	cd kube/oracles && $(GO) mod tidy -diff # it follows the module above
	rm -rf bin/.generated && bin/tools/controller-gen object crd paths=./api/... output:dir=bin/.generated
	diff bin/.generated/zz_generated.deepcopy.go api/v1alpha1/zz_generated.deepcopy.go
	diff -x '*.go' bin/.generated api/crds
	bin/tools/golangci-lint run ./...

vuln: bin/tools/govulncheck ## Look for known vulnerabilities in what is called.
	bin/tools/govulncheck ./...

clean: ## Remove what was built. The data of `make up` stays in .bulkhead/.
	rm -rf bin

bin/tools/%: Makefile
	GOBIN=$(CURDIR)/bin/tools $(GO) install $($*)
	@touch $@

.PHONY: help kube build up test test-race test-plain bench generate lint vuln clean
