# Each target installs what it lacks, then runs. `make demo` is the place to start.

PREFIX ?= /usr/local
RELEASE = .build/release

.PHONY: demo test soak bench experiment lint install build clean

# A model from its description to a trained step, with the numbers on the way.
demo: build
	scripts/demo.sh

# All tests, in release: they also run the motc program and evaluate specs with MoTIR's library.
test:
	scripts/setup.sh
	swift build -c release --build-tests
	swift test -c release --skip-build
	Tests/oracle/run.sh
	! command -v python3 >/dev/null || python3 -m unittest discover examples/shapes

# Kills a training run 500 times, at random moments, and wants in the end what a run that never stopped
# leaves, to the bit. It takes minutes; KILLS=… for another number.
soak: KILLS = 500
soak:
	scripts/setup.sh
	swift build -c release --build-tests
	MOTC_KILLS=$(KILLS) swift test -c release --skip-build --filter killsAtAnyMomentLoseNothing

# motc and its peers in turn; rewrites the tables of docs/benchmarks.md. QUICK=1 takes two minutes and
# rewrites nothing.
bench: build
	Benchmarks/run.sh --cold --docs

# Dense models and Mixture-of-Transformers on one corpus, by steps to equal losses; rewrites the tables of
# docs/experiment.md. It goes on where it was stopped. QUICK=1 takes minutes and rewrites nothing.
experiment: build
	Benchmarks/run.sh experiment --docs

# Format, sizes of files, scripts that do not parse.
lint:
	scripts/setup.sh swift
	scripts/lint.sh

# The program, and beside it the module that specs import; its manual page, and completions for shells.
install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/motc
	install -m 755 $(RELEASE)/motc $(DESTDIR)$(PREFIX)/bin/motc
	install -m 755 $(RELEASE)/libMoTIR.so $(DESTDIR)$(PREFIX)/lib/motc/libMoTIR.so
	install -m 644 $(RELEASE)/Modules/MoTIR.swiftmodule $(DESTDIR)$(PREFIX)/lib/motc/MoTIR.swiftmodule
	scripts/install-share.sh $(DESTDIR)$(PREFIX)/share

build:
	scripts/setup.sh
	swift build -c release

clean:
	rm -rf .build
