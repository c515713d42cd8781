# What a developer does, one word each. `make help` lists the words.
# Needs Rust (1.95 or newer), a C compiler and make; `make test` and ENGINE=full also MariaDB,
# GlusterFS, nginx, HAProxy and promtool, `make bench` MariaDB, nginx and redis, which are installed when run as root.

TARGET := $(or $(CARGO_TARGET_DIR),target)
TNV_CLUSTER := $(TARGET)/release/tnv-cluster
# What keeps the rows and files of a cluster: embedded (SQLite and folders), or full.
ENGINE := embedded
ENGINES := $(if $(filter full,$(ENGINE)),engines)
# Code without sockets: those belong to net, the client, httpd and tests.
NO_SOCKETS := proto base db tracker/src idserver/src storage/src
CRATES := proto base db net daemon client bench cli tracker idserver storage httpd manual test-cluster

.DEFAULT_GOAL := help
.PHONY: help build build-cluster check test test-embedded engines all-tests lint lint-code lint-greps lint-shell test-package doc \
	cluster cluster-status cluster-stop demo bench bench-quick limits clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
		awk -F ':.*## ' '{ printf "  make %-16s %s\n", $$1, $$2 }'

# The crates of the servers and of `tnv`.
PROGRAMS := tracker idserver storage httpd cli
# Only `tnv` looks for a file of its own accord, so only it needs the folder of the system's settings.
BUILD = $(if $(filter /etc,$(SYSCONFDIR)),,TNV_SYSCONFDIR='$(SYSCONFDIR)') cargo build --release --bins --locked

# `manual` generates the man pages for `make install`.
build: ## Build the programs for an operator, optimized, into target/release (SYSCONFDIR, if not /etc)
	$(BUILD) $(addprefix --package=,$(PROGRAMS) manual)

# The programs that a cluster on this machine runs, and the program that starts it.
build-cluster:
	$(BUILD) $(addprefix --package=,$(PROGRAMS) test-cluster)

include package/install.mk

test: engines lint all-tests doc ## Check and test everything: format, lints, tests on every engine, docs

test-embedded: export TNV_TEST_ENGINES = embedded
test-embedded: lint all-tests doc ## The same without MariaDB and GlusterFS: needs nothing installed

# Built like the tests' programs: what is tested is the package, not the compiler.
test-package: ## Install, drive, upgrade and purge the Debian package in a Debian of its own (as root)
	cargo build --workspace --bins --locked
	@test-cluster/package/run.sh $(TARGET)/debug

engines:
	@test-cluster/engines.sh

all-tests:
	cargo build --workspace --bins --locked
	@test-cluster/support/run_tests.sh

# Clippy looks again only at what changed and at the crates that import it.
check: lint ## Check changes: all lints, and unit tests of the crates changed since origin/main (or HEAD)
	@test-cluster/support/test_changed.sh

lint: lint-greps lint-shell lint-code ## Check format, warnings and the rules of the house

lint-code:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

# Two rules that Cargo cannot see.
lint-greps:
	@! grep -rnE '\b(TcpStream|TcpListener|UdpSocket)\b' --include='*.rs' $(NO_SOCKETS) \
		| grep -v '/tests' || { echo 'sockets belong to net, client and httpd'; exit 1; }
	@! grep -rnE '\bdb::(sqlite|mysql)\b' --include='*.rs' $(addsuffix /src,$(CRATES)) \
		| grep -v '/db/' || { echo 'database engines are named under db/ only'; exit 1; }

# Where shellcheck is at hand; the test of the package installs it.
SCRIPTS := .ci/run $(wildcard etc/init.d/* etc/init.sh etc/tnv-rolling-restart etc/monitoring/*.sh package/*.sh package/debian/p* test-cluster/*.sh test-cluster/*/*.sh)
lint-shell:
	@! command -v shellcheck >/dev/null || shellcheck -x $(SCRIPTS)

doc: ## Build the documentation, warnings are errors
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked

# TNV_TRACKER_PORT, TNV_IDSERVER_PORT, TNV_STORAGE_PORT and TNV_HTTPD_PORT choose the ports at which
# the search for free ones begins.
# TNV_DATABASE_PORT does so for Galera. ENGINE=full: Galera and GlusterFS, as root.
cluster: $(ENGINES) build-cluster ## Start a cluster on this machine, or what is missing of it (ENGINE=full)
	@$(TNV_CLUSTER) up --engine $(ENGINE)

cluster-status: $(TNV_CLUSTER) ## Show the daemons of the cluster
	@$(TNV_CLUSTER) status

cluster-stop: $(TNV_CLUSTER) ## Stop the cluster
	@$(TNV_CLUSTER) stop

demo: $(ENGINES) build-cluster ## Start a cluster, store videos, stream them, and leave one to watch (ENGINE=full)
	@$(TNV_CLUSTER) demo --engine $(ENGINE)

BENCH = PATH=$$PATH:/usr/sbin $(TNV_CLUSTER) bench --engine $(ENGINE) $(if $(KEY),--key) $(if $(ONLY),--only "$(ONLY)") \
	$(if $(CONGESTION_CONTROL),--congestion-control $(CONGESTION_CONTROL))

# ONLY=WORDS: rows so named. KEY=1: clusters with a cluster key, too. ENGINE=full: clusters on GlusterFS and Galera, too,
# as root. CONGESTION_CONTROL=NAME: another one than reno, for all contestants.
bench: $(ENGINES) build-cluster ## Measure everything beside the limits of this machine (ONLY=WORDS KEY=1 ENGINE=full)
	@test-cluster/engines.sh bench
	@$(BENCH)

bench-quick: $(ENGINES) build-cluster ## The same with short rounds
	@test-cluster/engines.sh bench
	@$(BENCH) --quick

limits: ## Measure the memory of storage and httpd while 32 clients move large files
	cargo test --release --locked --package=test-cluster --test it memory:: -- --nocapture

clean: ## Stop the cluster, remove it and all that was built
	@if [ -x $(TNV_CLUSTER) ]; then $(TNV_CLUSTER) stop; fi
	rm -rf test-cluster/run
	cargo clean

# Built only if it is missing: to stop a cluster, no change of the sources matters.
$(TNV_CLUSTER):
	$(BUILD) --package=test-cluster
