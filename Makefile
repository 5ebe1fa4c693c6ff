# Every target sets up .venv by itself; make and Python 3.13 are all it needs.
# `make PYTHON=/path/to/python3.13` names the Python to use.

PYTHON ?=
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
STATE ?= .state
PORT ?= 7071
INSTANCES ?= 1
RATE ?= 105

.PHONY: help demo start test check format replay bench lock clean

help:
	@echo "make demo            every path an order can take, on a fresh emulator"
	@echo "make start           serve until Ctrl-C [PORT=$(PORT) STATE=$(STATE) INSTANCES=$(INSTANCES)]"
	@echo "make test            all tests"
	@echo "make check           ruff, mypy, import-linter, formatting"
	@echo "make replay FILE=x   submit the invoices of an Online Retail CSV file"
	@echo "make bench           open-loop load on 1 and on 2 instances [RATE=$(RATE)]"
	@echo "make format          rewrite the code in the project's format"
	@echo "make lock            pin what requirements*.txt ask for in requirements.lock"
	@echo "make clean           remove .venv, caches, $(STATE) and .bench"

demo: $(READY)
	@$(RUN) -m tools.demo

start: $(READY)
	@exec $(RUN) -m tools.start --state $(STATE) --port $(PORT) --instances $(INSTANCES)

test: $(READY)
	@$(RUN) -m pytest $(ARGS)

check: $(READY)
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy .
	@$(VENV)/bin/lint-imports --no-logo

replay: $(READY)
	@test -n "$(FILE)" || { echo "make replay needs a file: make replay FILE=online_retail.csv" >&2; exit 2; }
	@$(RUN) -m tools.replay "$(FILE)"

bench: $(READY)
	@$(RUN) -m tools.bench --rate $(RATE)

format: $(READY)
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

# In a fresh environment, so that nothing is pinned that nothing asks for.
lock:
	@python="$$(tools/find_python.sh $(PYTHON))" && fresh="$$(mktemp -d)" && trap 'rm -rf "$$fresh"' EXIT && \
	"$$python" -m venv "$$fresh" && \
	"$$fresh/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt && \
	{ echo "# Every transitive version of requirements-dev.txt, written by \`make lock\`."; \
	  "$$fresh/bin/python" -m pip freeze; } > requirements.lock

$(READY): requirements.lock
	@$(RUN) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null || { \
	  python="$$(tools/find_python.sh $(PYTHON))" && "$$python" -m venv --clear $(VENV); }
	@echo "installing requirements.lock into $(VENV)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

clean:
	rm -rf $(VENV) $(STATE) .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
