# Two commands on a fresh machine with Python 3.11 or later: make demo, make test.
# CONTRIBUTING.md says what each lane tests, how long it takes and when it runs.
PYTHON ?= python3
# What follows pytest in every lane: make test-lowest TESTS="tests/nn -x"
TESTS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TOOLS := .venv-tools/bin
UV := $(TOOLS)/uv

.PHONY: demo test browser battery check bench docs man translations sbom release test-lowest test-newest test-python lock audit nightly clean clean-lanes
.NOTPARALLEL:
.DELETE_ON_ERROR:

demo: .venv/installed
	$(BIN)/residua demo

test: .venv/tested browser check
	$(BIN)/python -m pytest $(TESTS)

# Tests of pages need Debian's chromium. Where apt-get may install it, that is done; elsewhere pytest names what it skips.
APT := timeout 300 apt-get -qq -o Acquire::Retries=0 -o Acquire::http::Timeout=15
browser:
	@command -v chromium >/dev/null || { \
	test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "apt-get install chromium" && export DEBIAN_FRONTEND=noninteractive && \
	$(APT) update && $(APT) install -y --no-install-recommends chromium fonts-liberation fonts-dejavu-core >/dev/null; } || \
	echo "chromium is not installed, and cannot be here: tests of pages are skipped"

# What takes minutes: every name exported and compiled, faults by the hundred.
battery: .venv/tested browser
	$(BIN)/python -m pytest -m battery $(TESTS)

check: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The manual as a site: build/docs/index.html in English, build/docs/ko in Korean. Warnings are errors; nothing is downloaded.
SPHINX := $(BIN)/python -m sphinx -W --keep-going -n -q -b html
docs: .venv/tested
	@$(SPHINX) -d build/doctrees/en docs build/docs & english=$$!; \
	$(SPHINX) -d build/doctrees/ko -D language=ko docs build/docs/ko && wait $$english && echo "docs: open build/docs/index.html"

# The manual page of the command: man build/man/residua.1
man: .venv/tested
	@$(BIN)/python -m sphinx -q -b man -d build/doctrees/man docs build/man

# Strings of the translated pages that changed: docs/locale.
translations: .venv/tested
	$(BIN)/python docs/_site/translations.py

bench: .venv/tested
	$(BIN)/python benchmarks/train_cifar.py
	$(BIN)/python benchmarks/network_overhead.py

# The same tests with other versions. Each lane has an environment of its own, made anew when pyproject.toml changes.
test-lowest: .venv-lowest/tested
	$(call tested_with,.venv-lowest)

test-newest: .venv-newest/tested
	$(UV) pip install --quiet --upgrade --python .venv-newest --editable '.[test]'
	$(call tested_with,.venv-newest)

VERSION = $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
test-python:
	@$(call python_starts,$(PYTHON))
	@$(MAKE) --no-print-directory .venv-$(VERSION)/tested
	$(call tested_with,.venv-$(VERSION))

# The versions that `make demo` and `make test` install, with their hashes, for every Python and system we support.
COMPILE := pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --custom-compile-command 'make lock'
lock: $(UV)
	$(UV) $(COMPILE) --constraint requirements/held.in --extra test pyproject.toml --output-file requirements/test.txt
	$(UV) $(COMPILE) --constraint requirements/test.txt pyproject.toml --output-file requirements/run.txt
	$(UV) $(COMPILE) --constraint requirements/test.txt requirements/serve.in --output-file requirements/serve.txt

# Everything that `make test` installs, as CycloneDX, checked against its schema: build/sbom.cdx.json
sbom: .venv/tested $(UV)
	@mkdir -p build
	$(TOOLS)/cyclonedx-py environment --pyproject pyproject.toml --mc-type library --output-reproducible \
		--output-file build/sbom.cdx.json $(BIN)/python

# The known holes of all that is locked.
# A version that the service does not answer for fails: silence is not safety. make audit SERVICE=osv asks another.
SERVICE ?= pypi
audit: sbom
	@$(TOOLS)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		--vulnerability-service $(SERVICE) --requirement requirements/test.txt || \
		{ echo "audit: a version has a known hole, or $(SERVICE) did not answer for it"; exit 1; }

# dist/ with an sdist and a wheel, the manual page and the SBOM. The sdist runs the demo, the wheel is tried with each extra
# (RELEASE_EXTRAS=serve: only that), each in an environment of its own.
release: man sbom
	rm -rf dist
	$(UV) build --quiet --out-dir dist
	cp build/man/residua.1 build/sbom.cdx.json dist/
	$(PYTHON) deploy/check_release.py dist $(UV) $(RELEASE_EXTRAS)

nightly:
	@$(MAKE) --keep-going battery test-lowest test-newest audit

clean:
	rm -rf .venv

clean-lanes:
	rm -rf .venv-*

.venv/bin/python:
	@$(call python_starts,$(PYTHON))
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml requirements/run.txt | .venv/bin/python
	$(PIP) --require-hashes --requirement requirements/run.txt
	$(PIP) --no-deps --editable .
	@touch $@

.venv/tested: pyproject.toml requirements/test.txt | .venv/bin/python
	$(PIP) --require-hashes --requirement requirements/test.txt
	$(PIP) --no-deps --editable .
	@touch $@ .venv/installed

.venv-lowest/tested: PYTHON = python3.11
.venv-lowest/tested: EXTRAS = test,s3test
.venv-lowest/tested: RESOLUTION = --resolution lowest-direct
EXTRAS = test
.venv-%/tested: pyproject.toml | $(UV)
	@$(call python_starts,$(PYTHON))
	$(PYTHON) -m venv --clear --without-pip .venv-$*
	$(UV) pip install --quiet --python .venv-$* $(RESOLUTION) --editable '.[$(EXTRAS)]'
	@touch $@

# uv resolves lanes and lock: pip knows no lowest versions. It links what it unpacked once into every environment.
$(UV):
	@$(call python_starts,$(PYTHON))
	$(PYTHON) -m venv .venv-tools
	$(TOOLS)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9' 'pip-audit>=2.10' 'cyclonedx-bom>=7'

define python_starts
$(1) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "$(1) does not start, or is older than 3.11: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12"; exit 2; }
endef

define tested_with
@$(UV) pip list --python $(1) 2>/dev/null | grep -E '^(torch|torchvision|numpy|scipy) '
$(1)/bin/python -m pytest $(TESTS)
endef
