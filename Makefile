# lastword: no agent dies without its last word. `make help` lists the targets. Read this file from top
# to bottom.

VERSION := 0.1.0
# The date of the man pages.
RELEASED := 2026-11-28

# The folder for everything that is built. The sanitized build uses the same rules in another folder.
BUILD ?= build
CC := gcc
MUSL_CC := musl-gcc
OBJCOPY := objcopy
STRIP := strip
# The folder whose libraries the images get, where it is not this machine.
SYSROOT :=
PYTHON := /usr/bin/python3

# ---- Flags -------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Wformat=2 -Wno-format-nonliteral -Werror
# The same sources make the same bytes, wherever the tree and the build's folder are.
PATHS := -ffile-prefix-map=$(BUILD)=build -ffile-prefix-map=$(CURDIR)=.
COMMON := -std=c17 -D_GNU_SOURCE -I. -DLASTWORD_VERSION='"$(VERSION)"' $(WARNINGS) $(PATHS) -MMD -MP

ifdef SANITIZE
HARDENING := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# The sanitizers' runtimes are linked statically, and unused libraries are left out: programs start in
# half the time.
LINK_HARDENING := -fsanitize=address,undefined -static-libasan -static-libubsan -Wl,--as-needed
# Lines for the sanitizers' reports; the variables of a debugger would take a quarter of the compilation.
OPTIMISE := -O1 -g1
else
# What a processor has against jumps to where nobody wanted to go is its architecture's own.
CONTROL_FLOW := $(if $(filter aarch64%,$(shell $(CC) -dumpmachine)),-mbranch-protection=standard,-fcf-protection)
HARDENING := -fstack-protector-strong -D_FORTIFY_SOURCE=3 -fPIE -fstack-clash-protection \
	$(CONTROL_FLOW)
LINK_HARDENING := -pie -Wl,-z,relro,-z,now -Wl,--as-needed
OPTIMISE := -O2 -g
endif

CFLAGS := $(COMMON) $(OPTIMISE) $(HARDENING)
LDFLAGS := $(LINK_HARDENING)

.DEFAULT_GOAL := all

# ---- Sources: a folder with its subfolders is a library, and its main.c the program -------------

FOLDERS := lib webhook certs watchdog observer cli
sources = $(filter-out $(1)/main.c %/generate.c,$(wildcard $(1)/*.c $(1)/*/*.c))
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

LIBRARY_lib := -lmicrohttpd -lgnutls -lcjson -lyaml -lcurl -lpthread
LIBRARY_certs := -lssl -lcrypto
LIBRARY_cli := -lunistring
LIBRARIES := $(LIBRARY_cli) $(LIBRARY_certs) $(LIBRARY_lib)
ARCHIVES := $(foreach f,cli observer webhook certs watchdog lib,$(BUILD)/$(f).a)

# The sources of the program in the pod: the watchdog, and the folders of lib/ that need no third-party
# library.
POD_SOURCES := $(wildcard watchdog/*.c lib/base/*.c lib/diagnosis/*.c)

# A program that runs during the build compiles the rules of the diagnosis to tables and checks their
# examples (lib/diagnosis/rules/generate.c).
HOST_CC ?= gcc
DIAGNOSIS_RULES := lib/diagnosis/rules/causes.rules \
	$(filter-out %/causes.rules %/secrets.rules,$(sort $(wildcard lib/diagnosis/rules/*.rules)))
GENERATOR_SOURCES := lib/diagnosis/rules/generate.c lib/base/error.c lib/base/utf8.c \
	$(addprefix lib/diagnosis/,cause.c json_line.c log_level.c log_line.c log_prefix.c rule.c rule_set.c)

$(BUILD)/generated/generate: $(GENERATOR_SOURCES) $(wildcard lib/diagnosis/*.h)
	@mkdir -p $(@D)
	@echo '  HOST $@'
	@$(HOST_CC) -std=c17 -D_GNU_SOURCE -I. -O1 -Wall -Wextra \
		$(GENERATOR_SOURCES) -o $@
SECRET_GENERATOR_SOURCES := lib/diagnosis/rules/generate_secrets.c lib/base/error.c \
	lib/diagnosis/redact.c \
	$(filter-out %/secret_table.c,$(wildcard lib/diagnosis/secret_*.c))
$(BUILD)/generated/generate_secrets: $(SECRET_GENERATOR_SOURCES) $(wildcard lib/diagnosis/*.h)
	@mkdir -p $(@D)
	@echo '  HOST $@'
	@$(HOST_CC) -std=c17 -D_GNU_SOURCE -I. -O1 -Wall -Wextra \
		$(SECRET_GENERATOR_SOURCES) -o $@
$(BUILD)/generated/secret_tables.c: $(BUILD)/generated/generate_secrets \
		lib/diagnosis/rules/secrets.rules
	@echo '  GEN  $@'
	@$< lib/diagnosis/rules/secrets.rules > $@.new && mv $@.new $@
$(BUILD)/generated/rule_tables.c $(BUILD)/generated/rule_places.c: $(BUILD)/generated/rule_%.c: \
		$(BUILD)/generated/generate $(DIAGNOSIS_RULES)
	@echo '  GEN  $@'
	@$< $* $(DIAGNOSIS_RULES) > $@.new && mv $@.new $@

PROGRAMS := $(if $(wildcard webhook/main.c),lastword-webhook) \
	$(if $(wildcard watchdog/main.c),lastword-watchdog) \
	$(if $(wildcard observer/main.c),lastword-observer) \
	$(if $(wildcard cli/main.c),lastword)

.PHONY: all
all: $(PROGRAMS:%=$(BUILD)/bin/%) $(BUILD)/bin/kubectl-lastword $(BUILD)/man/lastword.1 ## Build the programs into build/bin/

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo '  CC   $@'
	@$(CC) $(CFLAGS) -c $< -o $@
$(BUILD)/obj/generated/%.o: $(BUILD)/generated/%.c Makefile
	@mkdir -p $(@D)
	@echo '  CC   $@'
	@$(CC) $(CFLAGS) -c $< -o $@

define archive
$(BUILD)/$(1).a: $$(call objects,$$(call sources,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar qcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call archive,$(f))))
$(BUILD)/lib.a: $(BUILD)/obj/generated/secret_tables.o $(BUILD)/obj/generated/rule_tables.o $(BUILD)/obj/generated/rule_places.o

link = @mkdir -p $(@D) && echo '  LINK $@' && $(CC) $(LDFLAGS) $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) \
	-Wl,--end-group $(LIBRARIES) -o $@

# bin/ has the programs as they are on this machine, image/ those of the images: of the same objects, with
# a libcurl that can do HTTP and nothing else.
SERVERS := $(filter-out %-watchdog,$(PROGRAMS))
$(BUILD)/bin/lastword-webhook $(BUILD)/image/lastword-webhook: $(BUILD)/obj/webhook/main.o $(BUILD)/webhook.a \
		$(BUILD)/certs.a $(BUILD)/lib.a
	$(link)
$(BUILD)/bin/lastword-observer $(BUILD)/image/lastword-observer: $(BUILD)/obj/observer/main.o \
		$(BUILD)/observer.a $(BUILD)/webhook.a $(BUILD)/lib.a
	$(link)
$(BUILD)/obj/cli/shipped_config.o: manifests/base/config.yaml
$(BUILD)/obj/cli/completion.o: $(wildcard cli/completion.*sh)
$(BUILD)/bin/lastword $(BUILD)/image/lastword: $(BUILD)/obj/cli/main.o $(BUILD)/cli.a $(BUILD)/observer.a \
		$(BUILD)/webhook.a $(BUILD)/lib.a
	$(link)

IMAGE_LIBRARIES := $(LIBRARY_cli) $(filter-out -lcurl,$(LIBRARY_lib)) $(BUILD)/curl/libcurl.a $(LIBRARY_certs)
$(BUILD)/image/%: LIBRARIES = $(IMAGE_LIBRARIES)
$(SERVERS:%=$(BUILD)/image/%): | $(BUILD)/curl/libcurl.a
$(BUILD)/curl/libcurl.a: manifests/images/curl.sh
	@echo '  CURL $@'
	@rm -f $@
	@CC='$(CC)' manifests/images/curl.sh $(@D)

# A program of this name in PATH is a plugin of kubectl: `kubectl lastword exits`.
$(BUILD)/bin/kubectl-lastword: $(BUILD)/bin/lastword
	@ln -sf lastword $@

# A program that runs during the build writes the man pages, and the reference in docs/cli.md, of the table
# of commands (cli/manuals.c).
MANUAL_SOURCES := cli/generate.c cli/manual.c cli/manual_page.c cli/manuals.c lib/base/buffer.c
$(BUILD)/generated/manual: $(MANUAL_SOURCES) cli/manual.h cli/manual_page.h lib/base/buffer.h
	@mkdir -p $(@D)
	@echo '  HOST $@'
	@$(HOST_CC) -std=c17 -D_GNU_SOURCE -I. -O1 -Wall -Wextra $(MANUAL_SOURCES) -o $@
$(BUILD)/man/lastword.1: $(BUILD)/generated/manual Makefile
	@rm -rf $(@D) && mkdir -p $(@D)
	@echo '  MAN  $(@D)'
	@$< pages $(@D) $(VERSION) $(RELEASED)

.PHONY: reference
reference: $(BUILD)/generated/manual ## Write the reference of the commands into docs/cli.md
	@sed '/^<!-- make reference/q' docs/cli.md > $(BUILD)/generated/cli.md
	@$< reference >> $(BUILD)/generated/cli.md
	@cp $(BUILD)/generated/cli.md docs/cli.md

# The plugin as krew installs it: of the images' objects and libcurl, with its libraries beside it.
$(BUILD)/krew/%: LIBRARIES = $(IMAGE_LIBRARIES)
$(BUILD)/krew/%: LDFLAGS += -Wl,-rpath,'$$ORIGIN/lib'
$(BUILD)/krew/kubectl-lastword: $(BUILD)/obj/cli/main.o $(BUILD)/cli.a $(BUILD)/observer.a $(BUILD)/webhook.a \
		$(BUILD)/lib.a | $(BUILD)/curl/libcurl.a
	$(link)
	@$(STRIP) $@

RELEASE_URL := https://github.com/lastword/lastword/releases/download/v$(VERSION)
.PHONY: krew
krew: $(BUILD)/krew/kubectl-lastword arm64 ## Make the release for krew in build/krew: archives for amd64 and arm64, manifest
	+$(ARM64_MAKE) build/arm64/krew/kubectl-lastword
	manifests/krew/archive.py $(BUILD)/krew $(VERSION) $(RELEASE_URL) amd64=$< \
		arm64=build/arm64/krew/kubectl-lastword@$(ARM64_SYSROOT)

PREFIX ?= /usr/local
.PHONY: install-cli
install-cli: $(BUILD)/bin/lastword $(BUILD)/man/lastword.1 ## Install lastword, kubectl's plugin, man pages, completion: DESTDIR, PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 -D cli/completion.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/lastword
	install -m 644 -D cli/completion.zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_lastword
	install -m 644 -D cli/completion.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/lastword.fish
	install -m 755 $< $(DESTDIR)$(PREFIX)/bin/lastword
	ln -sf lastword $(DESTDIR)$(PREFIX)/bin/kubectl-lastword
	ln -sf lastword $(DESTDIR)$(PREFIX)/bin/kubectl_complete-lastword
	install -m 644 $(BUILD)/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1

# The watchdog is static and small: it uses musl and no third-party library, unused sections are removed,
# and the unwind tables are only in the debug file beside it. The sanitizers do not support musl, so the
# sanitized watchdog is an ordinary program.
ifdef SANITIZE
$(BUILD)/bin/lastword-watchdog: $(POD_SOURCES:%.c=$(BUILD)/obj/%.o) \
		$(BUILD)/obj/generated/rule_tables.o $(BUILD)/obj/generated/secret_tables.o
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) $(LDFLAGS) $^ -o $@
else
# On arm64 an address within 1 MiB takes one instruction instead of two.
POD_MODEL := $(if $(filter aarch64%,$(shell $(MUSL_CC) -dumpmachine)),-mcmodel=tiny)
POD_CFLAGS := $(COMMON) -Os -g -ffunction-sections -fdata-sections -fstack-protector-strong \
	-fno-asynchronous-unwind-tables -fno-unwind-tables $(POD_MODEL)
$(BUILD)/pod/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo '  CC   $@'
	@$(MUSL_CC) $(POD_CFLAGS) -c $< -o $@
$(BUILD)/pod/generated/%.o: $(BUILD)/generated/%.c Makefile
	@mkdir -p $(@D)
	@echo '  CC   $@'
	@$(MUSL_CC) $(POD_CFLAGS) -c $< -o $@
# Only the objects of lib/ that are used: one that mentions stderr would pull in musl's stdio.
$(BUILD)/pod.a: $(patsubst %.c,$(BUILD)/pod/%.o,$(filter lib/%,$(POD_SOURCES))) \
		$(BUILD)/pod/generated/rule_tables.o $(BUILD)/pod/generated/secret_tables.o
	@rm -f $@
	@ar qcs $@ $^
$(BUILD)/bin/lastword-watchdog: $(patsubst %.c,$(BUILD)/pod/%.o,$(filter watchdog/%,$(POD_SOURCES))) \
		$(BUILD)/pod.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(MUSL_CC) -static -Wl,--gc-sections -Wl,-z,relro,-z,now $^ -o $@.debug
	@$(OBJCOPY) --strip-all $@.debug $@
endif

# The programs for arm64 nodes, built with Debian's cross compiler: the pod's with its musl for arm64, the
# servers with a folder of Debian's packages for arm64.
ARM64_SYSROOT := build/arm64/sysroot
ARM64_MAKE = $(MAKE) --no-print-directory BUILD=build/arm64 MUSL_CC=aarch64-linux-musl-gcc \
	CC='aarch64-linux-gnu-gcc --sysroot=$(CURDIR)/$(ARM64_SYSROOT)' \
	OBJCOPY=aarch64-linux-gnu-objcopy STRIP=aarch64-linux-gnu-strip SYSROOT=$(CURDIR)/$(ARM64_SYSROOT)
.PHONY: arm64
arm64: all ## Build both images' contents for arm64 and try the programs under emulation
	@[ -e /usr/bin/aarch64-linux-musl-gcc -a -e /usr/bin/qemu-aarch64-static ] || { \
		dpkg --add-architecture arm64 && apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends $(ARM64_PACKAGES) >/dev/null; }
	@manifests/images/sysroot.sh arm64 $(ARM64_SYSROOT) $(LIBRARY_PACKAGES) $(STATIC_PACKAGES)
	+$(ARM64_MAKE) rootfs
	$(PYTHON) tests/arm64.py

# ---- Images ------------------------------------------------------------------------------------

.PHONY: rootfs
rootfs: all $(SERVERS:%=$(BUILD)/image/%) ## Make the images' root folders: build/rootfs/servers, build/rootfs/watchdog
	@for image in servers watchdog; do \
		VERSION=$(VERSION) SYSROOT=$(SYSROOT) STRIP='$(STRIP)' \
			manifests/images/rootfs.sh manifests/images/$$image.list $(BUILD) $(BUILD)/rootfs/$$image \
			|| exit 1; \
	done

.PHONY: manifests
manifests: ## Render manifests/install.yaml, for kubectl apply -f
	@tests/tools.sh "$(TOOLS)"
	@{ echo '# Rendered of manifests/overlays/self-signed by `make manifests`; change that.'; \
		"$(TOOLS)/kubectl" kustomize manifests/overlays/self-signed; } > manifests/install.yaml

# ---- Tests -------------------------------------------------------------------------------------

.SECONDARY:

UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) $< -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(LIBRARIES) -lcmocka -o $@

# These tests make one allocation after the other fail.
$(BUILD)/tests/test_memory $(BUILD)/tests/test_fair_observer $(BUILD)/tests/test_certs \
	$(BUILD)/tests/test_receivers: \
	LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup

# Each fuzz target is also a test: it must process its corpus without an error. It is linked with all
# archives, so that no two files can define the same name.
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_REPLAYS := $(FUZZ_NAMES:%=$(BUILD)/fuzz/%-replay)
$(BUILD)/fuzz/%-replay: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/obj/tests/fuzz/replay.o $(ARCHIVES)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) $(filter %.o,$^) -Wl,--whole-archive $(ARCHIVES) -Wl,--no-whole-archive \
		$(LIBRARIES) -o $@

# The command that the watchdog's tests run, and the tracer that makes its system calls fail. They are
# not sanitized: the command is killed, and the tracer must not be traced.
HELPERS := $(BUILD)/tests/victim $(BUILD)/tests/fault
$(HELPERS): $(BUILD)/tests/%: tests/watchdog/%.c
	@mkdir -p $(@D)
	@$(CC) $(COMMON) -O1 $< -o $@

# Programs that only tests run, for modules that no program of their own exposes.
OBSERVER_DRIVERS := $(patsubst tests/observer/%.c,$(BUILD)/tests/%,$(wildcard tests/observer/*_driver.c))
$(OBSERVER_DRIVERS): $(BUILD)/tests/%: $(BUILD)/obj/tests/observer/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) $< -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(LIBRARIES) -o $@

# The watchdog with a wall clock that jumps at each reading.
$(BUILD)/tests/watchdog-with-jumping-clock: $(BUILD)/obj/watchdog/main.o \
		$(BUILD)/obj/tests/watchdog/jumping_clock.o $(BUILD)/watchdog.a $(BUILD)/lib.a
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) $^ -Wl,--wrap=clock_gettime -o $@

.PHONY: test-programs
test-programs: all $(UNIT_TESTS) $(FUZZ_REPLAYS) $(HELPERS) \
	$(BUILD)/tests/watchdog-with-jumping-clock $(OBSERVER_DRIVERS) \
	$(BUILD)/bench/api_server

.PHONY: test
test: deps ## Run both builds' tests, format, cppcheck, layers, words; ends with a count
	+$(PYTHON) tests/run.py all

.PHONY: check
check: ## Run the unit and black-box tests of the release build
	+$(PYTHON) tests/run.py quick

.PHONY: asan
asan: ## Run the unit and black-box tests under ASan, UBSan and LeakSanitizer
	+$(PYTHON) tests/run.py asan

.PHONY: cluster-up
cluster-up: deps cluster-deps rootfs ## Start a cluster of one node on this machine, with lastword in it (root)
	$(PYTHON) tests/cluster/cluster.py up
	$(PYTHON) tests/cluster/cluster.py enter $(PYTHON) tests/cluster/demo.py install

.PHONY: cluster-demo
cluster-demo: cluster-up ## Show there how an agent fails in a pod that stays Running
	$(PYTHON) tests/cluster/cluster.py enter $(PYTHON) tests/cluster/demo.py story

.PHONY: cluster-shell
cluster-shell: ## Open a shell in it, with kubectl
	$(PYTHON) tests/cluster/cluster.py enter

.PHONY: cluster-down
cluster-down: ## Stop it; nothing of it is left
	$(PYTHON) tests/cluster/cluster.py down

# How the scenarios install lastword: kustomize, or chart.
INSTALL ?= kustomize
.PHONY: test-cluster
test-cluster: deps cluster-deps ## Run the scenarios on a real node; INSTALL, K8S_BIN, KUBECONFIG: docs/testing.md
	+LASTWORD_INSTALL=$(INSTALL) $(PYTHON) tests/run.py cluster

.PHONY: asan-build
asan-build:
	+$(MAKE) --no-print-directory BUILD=build/asan SANITIZE=1 test-programs

# libFuzzer needs clang. FUZZ=name chooses one target, FUZZ_SECONDS the time for each.
FUZZ ?= $(FUZZ_NAMES)
FUZZ_SECONDS ?= 30
FUZZ_FLAGS := -std=c17 -D_GNU_SOURCE -I. -DLASTWORD_VERSION=\"$(VERSION)\" -MMD -MP -O1 -g \
	-fno-sanitize-recover=all
.PHONY: fuzz
fuzz: deps ## Run the libFuzzer targets, FUZZ_SECONDS each
	+@$(MAKE) --no-print-directory BUILD=build/fuzzing CC=clang \
		CFLAGS='$(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address,undefined' \
		$(ARCHIVES:$(BUILD)/%=build/fuzzing/%)
	@for name in $(FUZZ); do \
		echo "== fuzz $$name"; mkdir -p build/fuzzing/corpus-$$name; \
		clang $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined tests/fuzz/fuzz_$$name.c \
			-Wl,--start-group $(ARCHIVES:$(BUILD)/%=build/fuzzing/%) -Wl,--end-group \
			$(LIBRARIES) -o build/fuzzing/$$name && \
		build/fuzzing/$$name -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
			-artifact_prefix=build/fuzzing/ -print_final_stats=1 \
			build/fuzzing/corpus-$$name tests/fuzz/corpus/$$name \
			|| exit 1; \
	done

C_FILES := $(wildcard $(FOLDERS:%=%/*.[ch]) $(FOLDERS:%=%/*/*.[ch]) lib/diagnosis/rules/*.c tests/unit/*.[ch] tests/fuzz/*.[ch] bench/*.[ch] \
	tests/blackbox/*.[ch] tests/watchdog/*.[ch] tests/observer/*.[ch])

.PHONY: format
format: ## Format the C files in place
	clang-format -i $(C_FILES)

.PHONY: lint
lint: lint-format lint-cppcheck lint-tidy ## Run clang-format, cppcheck and clang-tidy

.PHONY: lint-format
lint-format:
	clang-format --dry-run --Werror $(C_FILES)

.PHONY: lint-tidy
lint-tidy:
	printf '%s\0' $(wildcard $(FOLDERS:%=%/*.c) $(FOLDERS:%=%/*/*.c)) | xargs -0 -P 2 -n 4 \
		sh -c 'clang-tidy --quiet "$$@" -- -std=c17 -D_GNU_SOURCE -I. \
			-DLASTWORD_VERSION=\"$(VERSION)\"' tidy

.PHONY: lint-cppcheck
lint-cppcheck:
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
		--error-exitcode=1 --suppress=missingIncludeSystem --suppress=varFuncNullUB -I. -j 2 \
		-D_GNU_SOURCE '-DLASTWORD_VERSION="0"' $(FOLDERS)

.PHONY: layers
layers: ## Prove the include rules of ARCHITECTURE.md
	$(PYTHON) tests/layers.py

.PHONY: words
words: ## Prove that names and texts use the field's standard terms, and no C file is too long
	$(PYTHON) tests/words.py

.PHONY: clean
clean: ## Remove everything built
	rm -rf build

# ---- Demo and bench ----------------------------------------------------------------------------

.PHONY: demo
demo: deps ## Show the main job in under a minute, on this machine
	+$(MAKE) --no-print-directory -j2 all
	$(PYTHON) tests/demo.py

$(BUILD)/bench/review $(BUILD)/bench/stages: $(BUILD)/webhook.a
$(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(BUILD)/lib.a
	$(link)

# The injector in Go that the webhook is compared with. Debian has the compiler outside of PATH; the
# program needs no module, and nothing is fetched.
GO ?= $(firstword $(wildcard /usr/lib/go-*/bin/go) go)
$(BUILD)/bench/injector: bench/injector.go
	@mkdir -p $(@D)
	@echo '  GO   $@'
	@CGO_ENABLED=0 GOFLAGS=-mod=mod GOPROXY=off GOCACHE=$(abspath $(BUILD))/go-cache $(GO) build -o $@ $<

# BENCH="webhook observer" measures these sections only (bench/table.py).
BENCH_PROGRAMS := $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/*.c)) $(BUILD)/bench/injector
BENCH ?=
.PHONY: bench
bench: deps bench-deps ## Measure: one table and build/bench.csv; BENCH=SECTION for a part of it
	+$(MAKE) --no-print-directory -j2 all $(BENCH_PROGRAMS)
	@$(PYTHON) bench/table.py $(BENCH)

.PHONY: bench-documents
bench-documents: ## Write the figures of build/bench.csv into the tables of docs/
	@$(PYTHON) bench/table.py --documents

# ---- Packages that a fresh Debian 12 lacks ------------------------------------------------------

LIBRARY_PACKAGES := libmicrohttpd-dev libgnutls28-dev libssl-dev libcjson-dev libcurl4-openssl-dev \
	libyaml-dev libunistring-dev
# What the images' lists name as a package.
STATIC_PACKAGES := musl-dev libgcc-12-dev base-files ca-certificates
BUILD_PACKAGES := gcc libc6-dev binutils dpkg-dev musl-tools ca-certificates $(LIBRARY_PACKAGES)
DEBIAN_PACKAGES := $(BUILD_PACKAGES) clang clang-format clang-tidy cppcheck libclang-rt-14-dev \
	libcmocka-dev python3 python3-pytest python3-pytest-xdist python3-jsonpatch python3-yaml \
	python3-cryptography docker-registry openssl wrk nginx-light iproute2 procps \
	tini dumb-init catatonit s6 supervisor prometheus prometheus-alertmanager groff-base mandoc zsh fish

BENCH_PACKAGES := golang-1.19-go

ARM64_PACKAGES := gcc-aarch64-linux-gnu musl-dev:arm64 qemu-user-static

CLUSTER_PACKAGES := golang-1.19-go golang-github-modern-go-reflect2-dev dpkg-dev rsync jq \
	debian-archive-keyring etcd-server containerd runc containernetworking-plugins busybox-static \
	util-linux protobuf-compiler python3-protobuf python3-grpcio debootstrap buildah

# helm and a current kubectl, which Debian 12 has not; kept outside of the tree.
TOOLS := $(or $(LASTWORD_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lastword)/tools

# Debian starts the services that it installs, some of them on every address of the machine. While this
# installs, policy-rc.d (invoke-rc.d(8)) refuses that.
install-missing = @missing=$$(dpkg-query -W -f '$${Package} $${db:Status-Status}\n' $(1) 2>/dev/null \
		| awk '$$2 == "installed" {print $$1}' | sort -u > /tmp/lastword-installed.$$$$; \
		printf '%s\n' $(1) | sort -u | comm -23 - /tmp/lastword-installed.$$$$; \
		rm -f /tmp/lastword-installed.$$$$); \
	if [ -n "$$missing" ]; then \
		echo "installing:" $$missing; \
		policy=/usr/sbin/policy-rc.d; \
		[ -e $$policy ] || { trap "rm -f $$policy" EXIT; \
			printf '\#!/bin/sh\nexit 101\n' > $$policy; chmod 755 $$policy; }; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

.PHONY: deps
deps: ## Install the Debian packages that are missing (root)
	$(call install-missing,$(DEBIAN_PACKAGES))
	@tests/tools.sh "$(TOOLS)"

.PHONY: bench-deps
bench-deps:
	$(call install-missing,$(BENCH_PACKAGES))

.PHONY: build-deps
build-deps: ## Install only those that the programs are built with
	$(call install-missing,$(BUILD_PACKAGES))

.PHONY: cluster-deps
cluster-deps: ## Install those that a cluster of one node consists of
	$(call install-missing,$(CLUSTER_PACKAGES))

-include $(shell find $(BUILD) -name '*.d' -type f 2>/dev/null)
