# leat: `make` builds, `make run` installs, builds and runs the main job, `make test` runs all tests.
# A folder is a library; an arrow of DESIGN is the order in which libraries link.

BUILD ?= build
CC ?= gcc
ifeq ($(origin CC),default)
CC = gcc
endif
OPT ?= -O3
SAN ?=
LAYERS = cli pipeline stages io formats lang core
WARN = -Wall -Wextra -Werror -Wno-missing-field-initializers
CFLAGS += -std=gnu11 $(OPT) -g $(WARN) -pthread -fno-strict-aliasing -D_GNU_SOURCE -I. $(CPPDEFS)
LIBS = -luring -lzstd -lz -lsqlite3 -lpcre2-8 -lm -pthread
ifneq ($(SAN),)
CFLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
LDFLAGS += -fsanitize=$(SAN)
endif

SOURCES = $(foreach layer,$(LAYERS),$(wildcard $(layer)/*.c))
objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)/*.c))
ARCHIVES = $(foreach layer,$(filter-out cli,$(LAYERS)),$(BUILD)/lib$(layer).a)
TESTS = core lang formats io stages pipeline

.PHONY: all
all: $(BUILD)/leat

$(BUILD)/leat: $(call objects,cli) $(ARCHIVES)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(call objects,cli) $(ARCHIVES) $(LIBS)

define archive_rule
$(BUILD)/lib$(1).a: $(call objects,$(1))
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach layer,$(filter-out cli,$(LAYERS)),$(eval $(call archive_rule,$(layer))))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# One CUnit binary for each folder of tests; it links the folder's library and all below it.
$(BUILD)/tests/%: FORCE
	@mkdir -p $(BUILD)/tests
	@$(MAKE) --no-print-directory $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/$*/*.c) tests/suite.c) \
	    $(foreach layer,$(shell echo $(LAYERS) | sed 's/.*\b\($*\b\)/\1/'),$(BUILD)/lib$(layer).a)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/$*/*.c) tests/suite.c) \
	    $(foreach layer,$(shell echo $(LAYERS) | sed 's/.*\b\($*\b\)/\1/'),$(BUILD)/lib$(layer).a) \
	    -lcunit $(LIBS)
.PHONY: FORCE
FORCE:

.PHONY: unit
unit: $(foreach suite,$(TESTS),$(BUILD)/tests/$(suite))
	@set -e; for suite in $(TESTS); do $(BUILD)/tests/$$suite; done

.PHONY: clean
clean:
	rm -rf build

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
