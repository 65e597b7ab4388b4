# `make help` lists what there is. Each command works from a clean checkout with Rust, Node.js and
# the usual build tools, and runs the same here and in CI.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The parts share the cores and one target directory: side by side they only wait for each other.
.NOTPARALLEL:

TOOLCHAIN := $(shell scripts/toolchain.sh)
ifneq ($(TOOLCHAIN),)
export RUSTUP_TOOLCHAIN := $(TOOLCHAIN)
endif

TARGET := $(or $(CARGO_TARGET_DIR),target)
SEEDS ?= 1000
SECONDS ?= 600
BENCH ?= all
SCENARIOS ?= all
MINUTES ?= 30
PEERS ?=
NODES ?= 1000

SERVER := $(abspath $(TARGET))/release/darda-server

# Runs a command with RabbitMQ, Redis and a MongoDB-protocol database.
WITH_BACKENDS := $(TARGET)/debug/darda-backends

.PHONY: help run run-real test check simulate scale prove prove-cluster soak bench bench-peers fuzz backends \
	test-rust test-examples test-image test-clients test-browser test-js test-bench \
	sbom manifests e2e-kubernetes \
	release-server release-sim release-proof release-load

help: ## List the commands
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

run: ## Build and start the server with in-memory ports; open the address that it prints
	cargo run --locked -p darda-server

run-real: backends release-server ## Two gateways and a writer on RabbitMQ, Redis and a MongoDB-protocol database
	DARDA_SERVER=$(SERVER) $(WITH_BACKENDS) scripts/run-real.sh

test: check test-rust test-examples test-image simulate test-browser test-js test-clients test-bench prove ## Everything that can fail

check: ## Format, lints, licences, docs, dependency rules, minimum Rust version, snapshots, Kubernetes manifests
	scripts/check.sh

simulate: release-sim ## The simulation; SEEDS=1000 seeds
	$(TARGET)/release/darda-sim --seeds $(SEEDS)

prove: backends release-server release-proof ## Real servers killed under load, and the promises judged; SCENARIOS=all
	DARDA_SERVER=$(SERVER) $(TARGET)/release/darda-proof $(SCENARIOS)

prove-cluster: SCENARIOS = rabbit-cluster
prove-cluster: prove ## The same, where the leader of three RabbitMQ nodes is killed

scale: release-sim ## What 1,000 gateways ask of the ports, in simulation; NODES=1000
	$(TARGET)/release/darda-scale --nodes $(NODES)

soak: SCENARIOS = soak --minutes $(MINUTES)
soak: prove ## The same, all at once, for MINUTES=30 minutes

bench: backends release-server release-load ## The benchmarks, about 40 minutes; BENCH=fanout for one of them
	$(WITH_BACKENDS) $(TARGET)/release/darda-bench $(BENCH)

bench-peers: backends release-server release-load ## The same load on Darda, Socket.IO and Centrifugo; PEERS="--only socketio"
	DARDA_SERVER=$(SERVER) $(WITH_BACKENDS) scripts/bench-peers.sh $(PEERS)

fuzz: ## Each fuzz target for SECONDS=600 seconds; needs a nightly Rust
	scripts/fuzz.sh $(SECONDS)

e2e-kubernetes: release-server release-proof ## The system on the cluster that KUBECONFIG names; see tests/kubernetes
	DARDA_SERVER=$(SERVER) DARDA_PROOF=$(abspath $(TARGET))/release/darda-proof tests/kubernetes/run.sh

sbom: ## What the server is made of, in SPDX: target/darda-server.spdx.json
	scripts/sbom.sh target/darda-server.spdx.json

manifests: ## Write the manifests that are the chart's
	scripts/manifests.sh --write

backends:
	scripts/backends.sh
	cargo build --locked -p darda-backends

test-rust: backends
	$(WITH_BACKENDS) cargo test --locked --workspace --all-features

test-examples:
	scripts/examples.sh

test-clients: backends release-server release-load ## The clients against a server, through a network that misbehaves; a small load
	cargo build --locked -p darda-suite
	DARDA_SERVER=$(SERVER) $(WITH_BACKENDS) scripts/clients.sh
	DARDA_SERVER=$(SERVER) scripts/bench-peers.sh --quick --only darda,socketio

test-image: release-server
	DARDA_SERVER=$(SERVER) scripts/image.sh
	scripts/sbom.sh target/darda-server.spdx.json

test-browser: release-server
	DARDA_SERVER=$(SERVER) scripts/browser.sh

test-js: release-server
	DARDA_SERVER=$(SERVER) scripts/js.sh

# The benchmarks at a size that shows only that they run and that nothing is lost.
test-bench: backends release-server release-load
	$(WITH_BACKENDS) $(TARGET)/release/darda-bench --quick all

release-server:
	cargo build --locked --release -p darda-server -p darda-bench

# By themselves: built together, the server would get the paused time and the faults that only the
# simulation asks for.
release-sim:
	cargo build --locked --release -p darda-sim

release-load:
	cargo build --locked --release -p darda-client --features cli

release-proof:
	cargo build --locked --release -p darda-proof
