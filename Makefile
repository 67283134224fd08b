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

LAYERS = cli pipeline stages io formats lang core
LIBRARIES = $(filter-out cli,$(LAYERS))
TESTS = core lang formats io stages pipeline cli

WARN = -Wall -Wextra -Werror -Wno-missing-field-initializers
ALL_CFLAGS = -std=gnu11 $(OPT) -g $(WARN) -pthread -fno-strict-aliasing -D_GNU_SOURCE \
    -DLEAT_VERSION='"$(VERSION)"' -I. $(CPPDEFS) $(CFLAGS)
ALL_LDFLAGS = $(LDFLAGS)
LIBS = -luring -lzstd -lz -lsqlite3 -lpcre2-8 -lm -pthread
ifneq ($(SAN),)
ALL_CFLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
ALL_LDFLAGS += -fsanitize=$(SAN)
endif

# As many jobs as there are processors, unless -j says otherwise.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc) --output-sync=target
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
tests: all $(foreach suite,$(SUITES),$(BUILD)/tests/$(suite))
unit: tests
	@set -e; for suite in $(SUITES); do LEAT=$(BUILD)/leat $(BUILD)/tests/$$suite; done

.PHONY: clean
clean:
	rm -rf build

-include $(shell find $(object) -name '*.d' 2>/dev/null)
