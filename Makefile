# Two commands do all the set-up: `make lab` opens the notebooks, `make test` runs the tests.

VENV := .venv
BIN := $(VENV)/bin
# JupyterLab asks root for a word of consent; on a machine of one's own (a container, a lab machine) it is given here.
ALLOW_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help lab demo test conformance check bench format clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

# One stamp per set of dependencies, so that a student's `make lab` installs no test tools.
$(VENV)/stamp-lab: pyproject.toml
	"$$(scripts/find-python)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[fast]" --group lab
	touch $@

$(VENV)/stamp-dev: $(VENV)/stamp-lab
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

lab: $(VENV)/stamp-lab  ## set up and open JupyterLab on the notebooks
	jupyter lab $(ALLOW_ROOT) notebooks/01-first-container.ipynb $(LAB_OPTIONS)

demo: $(VENV)/stamp-lab  ## execute the notebooks headless into build/demo/
	python scripts/demo.py notebooks build/demo

test: check  ## lint, types, walls and every test that needs no outsider
	scripts/run-tests $(TEST_OPTIONS)

conformance: $(VENV)/stamp-dev  ## compare with a real dockerd, recorded behaviour and vectors
	python -m pytest -m conformance tests/conformance $(TEST_OPTIONS)

check: $(VENV)/stamp-dev  ## lint, format, types, import walls
	ruff check .
	ruff format --check .
	mypy
	lint-imports

bench: $(VENV)/stamp-dev  ## measure against a real dockerd in the same run (as root) and print the ratios
	cd tests && python -m benchmarks

format: $(VENV)/stamp-dev  ## put the code into its format
	ruff check --fix .
	ruff format .

clean:  ## remove what was built
	rm -rf build dist $(VENV) .mypy_cache .ruff_cache .pytest_cache
