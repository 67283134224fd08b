# leat. `make` builds, `make run` installs, builds and runs the main job, `make test` runs all tests;
# `make help` lists the rest. A folder is a library; LAYERS is the order in which they link, and the
# only direction in which one may include another (tests/lint/lint.py). Objects lie in
# $(BUILD)/object, so several builds (BUILD=build/asan SAN=address,undefined) live side by side.

BUILD ?= build
ifeq ($(origin CC),default)
CC = gcc
endif
OPT ?= -O3
SAN ?=
PREFIX ?= /usr/local
DESTDIR ?=
SECONDS ?= 600
VERSION := 0.1.0

LAYERS = cli pipeline stages io clients formats lang core
LIBRARIES = $(filter-out cli,$(LAYERS))
TESTS = core lang formats clients io stages pipeline cli

WARN = -Wall -Wextra -Werror -Wno-missing-field-initializers
ALL_CFLAGS = -std=gnu11 $(OPT) -g $(WARN) -pthread -fno-strict-aliasing -D_GNU_SOURCE \
    -DLEAT_VERSION='"$(VERSION)"' -I. -isystem /usr/include/postgresql $(CPPDEFS) $(CFLAGS)
ALL_LDFLAGS = $(LDFLAGS)
LIBS = -luring -lzstd -lz -lsqlite3 -lpcre2-8 -lcurl -lpq -lm -pthread
ifneq ($(SAN),)
ALL_CFLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
ALL_LDFLAGS += -fsanitize=$(SAN)
# gcc's analyses of data flow raise false alarms in instrumented code; the plain build has them on.
ifeq (,$(findstring clang,$(CC)))
ALL_CFLAGS += -Wno-maybe-uninitialized -Wno-format-truncation -Wno-stringop-overflow
endif
endif

# As many jobs as there are processors, unless -j says otherwise.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif
# V=1 shows commands whole.
V ?= 0
ifeq ($(V),0)
quiet = @echo '  $(1)	$(2)';
else
quiet =
endif

.PHONY: all
all: $(BUILD)/leat

object = $(BUILD)/object
SOURCES = $(foreach layer,$(LAYERS),$(wildcard $(layer)/*.c))
objects = $(patsubst %.c,$(object)/%.o,$(wildcard $(1)/*.c))
archives = $(foreach layer,$(1),$(BUILD)/lib$(layer).a)
# A layer and all below it: $(call from_layer,io) is "io formats lang core".
from_layer = $(shell echo ' $(LAYERS)' | sed 's/.* $(1)\b/$(1)/')

$(BUILD)/leat: $(call objects,cli) $(call archives,$(LIBRARIES))
	$(call quiet,LINK,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# $(call stamp,FILE,TEXT): a file that is rewritten only when its text changes.
define stamp
$(shell mkdir -p $(dir $(1)); printf '%s\n' '$(subst ','\'',$(2))' | cmp -s - $(1) || \
    printf '%s\n' '$(subst ','\'',$(2))' > $(1))
endef

ifeq (,$(filter clean help lint deps deps-test,$(MAKECMDGOALS)))
$(call stamp,$(BUILD)/stamp/flags,$(CC) $(ALL_CFLAGS))
endif

# An archive is made anew when a file of its folder changes, comes or goes.
define archive_rule
$(call stamp,$(BUILD)/stamp/$(1),$(wildcard $(1)/*.c))
$(BUILD)/lib$(1).a: $(call objects,$(1)) $(BUILD)/stamp/$(1)
	$$(call quiet,AR,$$@)rm -f $$@; ar rcs $$@ $$(filter %.o,$$^)
endef
$(foreach layer,$(LIBRARIES),$(eval $(call archive_rule,$(layer))))

$(object)/%.o: %.c $(BUILD)/stamp/flags
	@mkdir -p $(@D)
	$(call quiet,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/stamp/%:
	@mkdir -p $(@D); touch $@

# Objects are kept, also those that only a pattern asks for.
.SECONDARY:

# One CUnit binary for each folder of tests; it links the folder's library and all below it.
# tests/cli drives the built leat from outside; it links all libraries for what it compares with.
test_layers = $(if $(filter cli,$(1)),$(LIBRARIES),$(call from_layer,$(1)))
define test_rule
$(BUILD)/tests/$(1): $(call objects,tests/$(1)) $(object)/tests/suite.o \
    $(call archives,$(call test_layers,$(1)))
	@mkdir -p $$(@D)
	$$(call quiet,LINK,$$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^) -lcunit $(LIBS)
endef
$(foreach suite,$(TESTS),$(eval $(call test_rule,$(suite))))

# Suites that have files by now.
SUITES = $(foreach suite,$(TESTS),$(if $(wildcard tests/$(suite)/*.c),$(suite)))
.PHONY: tests unit
tests: all $(foreach suite,$(SUITES),$(BUILD)/tests/$(suite)) servers

# tests/servers/NAME.c: a program that tests and benchmarks start, on its own (a server that
# misbehaves, a proxy that cuts).
.PHONY: servers
servers: $(patsubst tests/servers/%.c,$(BUILD)/servers/%,$(wildcard tests/servers/*.c))
	@:
$(BUILD)/servers/%: $(object)/tests/servers/%.o
	@mkdir -p $(@D)
	$(call quiet,LINK,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ -lz -lm -pthread
unit: tests
	@set -e; for suite in $(SUITES); do LEAT=$(BUILD)/leat $(BUILD)/tests/$$suite; done


# Everything `make test` runs is a step of tests/run.py, which sums the results. With CI=true it adds
# the sanitizer builds and a fuzz smoke. STEPS="unit/core golden" runs just these.
STEPS ?=
.PHONY: test lint
test: deps-test
	+@$(MAKE) --no-print-directory tests bench-programs
	+@MAKE='$(MAKE)' python3 tests/run.py --build $(BUILD) $(STEPS)
lint:
	@python3 tests/lint/lint.py

# PostgreSQL stopped, its backends terminated, its connections cut at every stage: some minutes.
.PHONY: faults
faults: tests
	@python3 tests/faults/postgres.py --leat $(BUILD)/leat --all

# Runs killed and power cut at any instant. `make test` has a share of it: 80 kills, 20,000 cuts.
N ?= 1000
STATES ?= 1000000
.PHONY: crash crash-states crash-planted
crash: tests
	@python3 tests/crash/run.py --leat $(BUILD)/leat --kills $(N)
crash-states: $(BUILD)/tests/pipeline
	LEAT_CRASH_STATES=$(STATES) $(BUILD)/tests/pipeline crash_states
# A build with planted bugs, each of which has to be found.
crash-planted:
	+@$(MAKE) --no-print-directory BUILD=build/planted CPPDEFS=-DLEAT_PLANTED build/planted/leat \
	    build/planted/tests/pipeline build/planted/servers/http_server build/planted/servers/postgres
	@python3 tests/crash/planted.py --build build/planted

# tests/fuzz/NAME.c is a libFuzzer target; all of them run for SECONDS each, one after another.
# Corpora found stay in build/fuzz/corpus; the seeds in tests/fuzz/corpus are only read.
FUZZERS = $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
FUZZ_BUILD = build/fuzz
.PHONY: fuzz fuzzers $(addprefix fuzz-,$(FUZZERS))
fuzzers:
	+@$(MAKE) --no-print-directory BUILD=$(FUZZ_BUILD) CC=clang OPT=-O2 \
	    SAN=fuzzer-no-link,address,undefined $(addprefix $(FUZZ_BUILD)/fuzz/,$(FUZZERS))
fuzz: fuzzers
	@set -e; for name in $(FUZZERS); do $(MAKE) --no-print-directory fuzz-$$name; done
$(BUILD)/fuzz/%: $(object)/tests/fuzz/%.o $(call archives,$(LIBRARIES))
	@mkdir -p $(@D)
	$(call quiet,LINK,$@)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
$(addprefix fuzz-,$(FUZZERS)): fuzz-%:
	@mkdir -p $(FUZZ_BUILD)/corpus/$* tests/fuzz/corpus/$*
	$(FUZZ_BUILD)/fuzz/$* -max_total_time=$(SECONDS) -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
	    -artifact_prefix=$(FUZZ_BUILD)/$*- $(FUZZ_BUILD)/corpus/$* tests/fuzz/corpus/$*

# Whether the portable paths compile elsewhere; only where a cross compiler happens to be installed.
CROSS ?= aarch64-linux-gnu-gcc
.PHONY: cross
cross:
	@command -v $(CROSS) >/dev/null || { echo 'skipped: no $(CROSS) here'; exit 0; }; \
	mkdir -p $(BUILD)/cross && for header in zstd.h zstd_errors.h zlib.h sqlite3.h pcre2.h liburing.h \
	    liburing postgresql/libpq-fe.h postgresql/postgres_ext.h postgresql/pg_config_ext.h \
	    $$(ls -d /usr/include/curl /usr/include/$$($(CC) -print-multiarch)/curl 2>/dev/null) $$(ls /usr/include/zconf.h /usr/include/$$($(CC) -print-multiarch)/zconf.h \
	    2>/dev/null); do ln -sf $$(cd /usr/include && realpath $$header) $(BUILD)/cross/; done; \
	bad=0; for file in $(SOURCES); do \
	    $(CROSS) $(filter-out -g,$(ALL_CFLAGS)) -isystem $(BUILD)/cross -fsyntax-only $$file || bad=1; \
	done; exit $$bad

# Side by side with whatever peers are installed; BENCH="filter pass" runs just these cases.
BENCH ?=
.PHONY: bench bench-programs micro
bench-programs: $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/*.c))
	@:
bench: all bench-programs
	@python3 bench/run.py --build $(BUILD) $(BENCH)
# The same for enrichment over HTTP; records are few, as Python is to come to an end.
.PHONY: bench-enrich
bench-enrich: all bench-programs servers
	@python3 bench/enrich.py --build $(BUILD)
micro: $(patsubst bench/micro/%.c,$(BUILD)/bench/micro/%,$(wildcard bench/micro/*.c))
$(BUILD)/bench/micro/%: $(object)/bench/micro/%.o $(call archives,$(LIBRARIES))
	@mkdir -p $(@D)
	$(call quiet,LINK,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/bench/%: $(object)/bench/%.o
	@mkdir -p $(@D)
	$(call quiet,LINK,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ -lm

# What Debian 12 has to have; asked with dpkg-query, so that nothing happens where all is there.
BUILD_PACKAGES = gcc libc6-dev liburing-dev libzstd-dev zlib1g-dev libsqlite3-dev libpcre2-dev sqlite3 \
    libcurl4-openssl-dev libpq-dev
TEST_PACKAGES = $(BUILD_PACKAGES) tzdata libcunit1-dev python3 openssl curl postgresql nghttp2-server jq zstd gzip clang clang-format libclang-rt-14-dev
define packages_install
	@missing=; for package in $(1); do \
	    dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || \
	    missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then \
	    echo "installing:$$missing"; \
	    [ $$(id -u) = 0 ] && root= || root=sudo; \
	    $$root apt-get update -qq && \
	    $$root env DEBIAN_FRONTEND=noninteractive \
	        apt-get install -y -qq --no-install-recommends $$missing; \
	fi
endef
.PHONY: deps deps-test
deps:
	$(call packages_install,$(BUILD_PACKAGES))
deps-test:
	$(call packages_install,$(TEST_PACKAGES))

# The main job: late flights into SQLite, then the first rows that it wrote.
.PHONY: run
run: deps
	+@$(MAKE) --no-print-directory all
	@$(BUILD)/leat run pipeline.conf
	@echo; sqlite3 -header -column delays.db 'SELECT * FROM delays LIMIT 5'
	@sqlite3 delays.db "SELECT '… ' || count(*) || ' rows in delays.db, table delays' FROM delays"

# The whole chain, with a demo server and a PostgreSQL of its own.
.PHONY: enrich
enrich: deps-test
	+@$(MAKE) --no-print-directory all servers
	@python3 examples/enrich/enrich.py --build $(BUILD)

# Man page, completions and the reference are printed by leat itself, from its option tables.
share = $(BUILD)/share
SHARED = $(share)/leat.1 $(share)/leat.bash $(share)/_leat $(share)/leat.fish
$(share)/leat.1: page = --man
$(share)/leat.bash: page = --completion bash
$(share)/_leat: page = --completion zsh
$(share)/leat.fish: page = --completion fish
$(SHARED): $(BUILD)/leat
	@mkdir -p $(@D)
	$(call quiet,WRITE,$@)$(BUILD)/leat help $(page) > $@.new && mv $@.new $@

.PHONY: docs
docs: all
	@mkdir -p docs/reference
	$(BUILD)/leat help --markdown docs/reference

.PHONY: install uninstall
to = $(DESTDIR)$(PREFIX)
install: all $(SHARED)
	install -D -m 755 $(BUILD)/leat $(to)/bin/leat
	install -D -m 644 $(share)/leat.1 $(to)/share/man/man1/leat.1
	install -D -m 644 $(share)/leat.bash $(to)/share/bash-completion/completions/leat
	install -D -m 644 $(share)/_leat $(to)/share/zsh/vendor-completions/_leat
	install -D -m 644 $(share)/leat.fish $(to)/share/fish/vendor_completions.d/leat.fish
	install -D -m 644 LICENSE $(to)/share/doc/leat/copyright
	install -D -m 644 README.md $(to)/share/doc/leat/README.md
	install -d $(to)/share/doc/leat/examples
	install -m 644 examples/*.conf examples/README.md $(to)/share/doc/leat/examples
uninstall:
	rm -f $(to)/bin/leat $(to)/share/man/man1/leat.1 $(to)/share/bash-completion/completions/leat \
	    $(to)/share/zsh/vendor-completions/_leat $(to)/share/fish/vendor_completions.d/leat.fish
	rm -rf $(to)/share/doc/leat

.PHONY: deb
deb: all $(SHARED)
	+@MAKE='$(MAKE)' packaging/deb.sh $(BUILD) $(VERSION)

.PHONY: clean help
clean:
	rm -rf build
help:
	@echo 'make            build $(BUILD)/leat'
	@echo 'make run        install what is missing, build, run pipeline.conf, show the rows written'
	@echo 'make enrich     the example of a whole chain: HTTP, a breaker, a connection pool, PostgreSQL'
	@echo 'make test       install what is missing, build, run all tests (CI=true: sanitizers and fuzz too)'
	@echo 'make test STEPS="lint unit/core golden"   just these steps'
	@echo 'make lint       layers, banned calls, sizes, comments, layout'
	@echo 'make fuzz SECONDS=600   every fuzz target for so long'
	@echo 'make bench      leat beside the peers that are installed: outputs first, then times'
	@echo 'make docs       docs/reference from the option tables'
	@echo 'make install PREFIX=/usr/local DESTDIR=   and uninstall'
	@echo 'make deb        a Debian package in $(BUILD)/'
	@echo 'make deps | deps-test   Debian packages to build, to test'
	@echo 'make clean      remove build/'
	@echo 'variables       BUILD=$(BUILD) CC=$(CC) OPT=$(OPT) SAN=address,undefined V=1'

-include $(shell find $(object) -name '*.d' 2>/dev/null)
