# Everything here sets up what it needs by itself, can be repeated, and goes on where it was interrupted.
#   JOBS=N     processes to build and test with (default: one for each core)
#   MODEL=…    a GGUF for the demo and the benchmark (default: a synthetic one)
#   MINUTES=N  how long `make fuzz` and `make torture` last in total (default: 10); FUZZ=… one of the fuzz programs (default: all);
#              SEED=N the torture's seed, MAY_SKIP=fault,… what it may leave out on this machine
#   PREFIX=…   where `make install` puts things (default: ~/.local)
.DEFAULT_GOAL := help
.PHONY: help demo serve program test torture clients build debug check format bench bench-full asan tsan fuzz model install clean

JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
PREFIX ?= $(HOME)/.local
export JOBS
# What was built, for the records: the last commit that changed the program, and whether there is more than that.
built = $(shell git log -1 --format=%h -- src include models CMakeLists.txt 2>/dev/null)$(shell git diff --quiet HEAD -- src include models CMakeLists.txt 2>/dev/null || echo -changed)
# What was measured goes into the report and the README also when a benchmark failed; that it failed stays the outcome.
measure_and_report = measured=0; $(measure) --size $(1) || measured=$$?; reported=0; ./engram bench report --readme README.md || reported=$$?; \
	[ $$measured -ne 0 ] || measured=$$reported; exit $$measured
measure = ./engram bench all --commit "$(built)" $(if $(MODEL),--model $(MODEL))
ctest = ./dev ctest --output-on-failure --no-tests=error -j $(JOBS)

help:  ## say what there is
	@echo "Engram: agents whose memory survives the process."
	@echo
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'
	@echo
	@echo "  ./engram …     the program            ./dev CMD …    a command where the toolchain is"

demo: program  ## create three agents, kill their process, resume them from disk
	@./engram demo $(if $(MODEL),--model $(MODEL))

serve: program  ## answer clients at http://127.0.0.1:8000
	@./engram serve $(if $(MODEL),--model $(MODEL))

program:  ## compile the program alone: half of everything
	@./dev tools/build release --target engram

build:  ## compile everything
	@./dev tools/build release

debug:  ## compile without optimisation, in build/debug
	@./dev tools/build debug

test: build  ## compile and run all tests
	@$(ctest) --test-dir build/release

torture: build  ## random clients and faults against the server for MINUTES (docs/TORTURE.md)
	@./dev python3 -B tests/torture/torture.py build/release/src/cli/engram models/engram-nano/engram-nano.gguf \
	  --shim build/release/tests/torture/libengram_torture_shim.so --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED)) \
	  $(if $(MAY_SKIP),--may-skip $(MAY_SKIP))

clients: program  ## Claude Code, Codex and opencode against the server (fetches a gigabyte from npm)
	@./dev tests/clients/run.sh build/clients $(CURDIR)/build/release/src/cli/engram

check: build  ## formatting, naming and static analysis (warnings are errors in every build)
	@./dev tools/check

format:  ## format all C++ files in place
	@./dev tools/check --format

asan:  ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@./dev tools/build asan
	@$(ctest) --preset asan

tsan:  ## the tests under ThreadSanitizer
	@./dev tools/build tsan
	@$(ctest) --preset tsan

fuzz:  ## look for inputs that break a parser, for MINUTES in total
	@./dev tools/build fuzz --target fuzzers
	@./dev tools/fuzz --minutes $(or $(MINUTES),10) $(FUZZ)

bench: program  ## measure beside llama-server; results and report in bench/results
	@$(call measure_and_report,quick)

bench-full: program  ## the same with more models, lengths and repetitions (hours; goes on where it was interrupted)
	@$(call measure_and_report,full)

model: program  ## train the embedded model again, from nothing (hours)
	@./dev --training models/engram-nano/make.sh build/engram-nano
	@./engram eval --model models/engram-nano/engram-nano.gguf

install: build  ## install the program, libengram and its CMake package
	@./dev tools/install $(PREFIX)

clean:  ## remove what was built (the toolchain stays, in the user's cache folder)
	@rm -rf build
