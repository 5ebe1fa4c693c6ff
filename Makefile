# Every target sets up .venv by itself; make and Python 3.13 are all it needs, but for `emulators` and `func`.
# `make PYTHON=/path/to/python3.13` names the Python to use.

PYTHON ?=
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
STATE ?= .state
PORT ?= 7071
INSTANCES ?= 1
RATE ?= 105

# What the app in the embedded emulator stands on: the emulator's engines, or the Azure SDKs over its wire endpoints.
ADAPTERS ?= embedded
WIRE := $(if $(filter azure,$(ADAPTERS)),--wire)

# Processes that run the tests: one for each core, or none beside pytest itself when ARGS chooses some of them.
WORKERS ?= $(if $(ARGS),0,auto)

# SCHEDULER=1 starts the Durable Task Scheduler emulator too (docs/func-start.md).
SCHEDULER ?=
COMPOSE := docker compose $(if $(SCHEDULER),--profile scheduler)

.PHONY: help demo start test check format replay bench lock clean emulators emulators-down setup func core-tools doctor

help:
	@echo "make demo            every path an order can take, on a fresh emulator"
	@echo "make start           serve until Ctrl-C [PORT=$(PORT) STATE=$(STATE) INSTANCES=$(INSTANCES)]"
	@echo "                     demo, start and replay take ADAPTERS=azure: the app uses the Azure SDKs"
	@echo "make doctor          what this machine can run, and what to do about the rest"
	@echo "make emulators       the official emulators in Docker, ready when it returns [SCHEDULER=1]"
	@echo "make func            set up their containers, then func start [PORT=$(PORT)]"
	@echo "make emulators-down  stop them and forget what they hold"
	@echo "make setup           create the containers of documents and blobs, where they are missing"
	@echo "make test            all tests, on all cores [ARGS= what pytest takes, WORKERS=]"
	@echo "make check           ruff, mypy, import-linter, formatting"
	@echo "make replay FILE=x   submit the invoices of an Online Retail CSV file"
	@echo "make bench           open-loop load on 1 and on 2 instances [RATE=$(RATE)], then through the Azure SDKs"
	@echo "make format          rewrite the code in the project's format"
	@echo "make lock            pin what requirements*.txt ask for in requirements.lock"
	@echo "make clean           remove .venv, caches, $(STATE) and .bench"

demo: $(READY)
	@$(RUN) -m tools.demo --adapters $(ADAPTERS)

start: $(READY)
	@ORDERFLOW_ADAPTERS=$(ADAPTERS) exec $(RUN) -m tools.start --state $(STATE) --port $(PORT) \
	  --instances $(INSTANCES) $(WIRE)

doctor: $(READY)
	@$(RUN) -m tools.doctor --port $(PORT)

emulators:
	@command -v docker >/dev/null || { \
	  echo "make emulators needs Docker with its compose plugin: https://docs.docker.com/engine/install/" >&2; exit 1; }
	@docker compose version >/dev/null 2>&1 || { \
	  echo "make emulators needs Docker's compose plugin: https://docs.docker.com/compose/install/linux/" >&2; exit 1; }
	@docker info >/dev/null 2>&1 || { \
	  echo "The Docker daemon does not answer. Start it: sudo systemctl start docker, or Docker Desktop" >&2; exit 1; }
	$(COMPOSE) up --wait

# With its profile, so that a scheduler that was started is stopped too.
emulators-down:
	docker compose --profile scheduler down --volumes

setup: $(READY) local.settings.json
	@$(RUN) -m tools.setup --settings local.settings.json

# Core Tools take the first python on PATH.
func: core-tools $(READY) local.settings.json
	@$(RUN) -m tools.setup --settings local.settings.json
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" VIRTUAL_ENV="$(CURDIR)/$(VENV)" exec func start --port $(PORT)

core-tools:
	@command -v func >/dev/null || { \
	  echo "make func needs Azure Functions Core Tools 4: npm install -g azure-functions-core-tools@4" >&2; exit 1; }

# Only where there is none: it is yours to change.
local.settings.json:
	@cp local.settings.json.example $@
	@echo "$@ is new: a copy of local.settings.json.example"

test: $(READY)
	@$(RUN) -m pytest -n $(WORKERS) $(ARGS)

check: $(READY)
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy .
	@$(VENV)/bin/lint-imports --no-logo

replay: $(READY)
	@test -n "$(FILE)" || { echo "make replay needs a file: make replay FILE=online_retail.csv" >&2; exit 2; }
	@$(RUN) -m tools.replay "$(FILE)" --adapters $(ADAPTERS)

bench: $(READY)
	@$(RUN) -m tools.bench --rate $(RATE)
	@$(RUN) -m tools.bench_wire

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
