# People, hooks and CI call the same targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Installs into the environment that is named after it, and shows how far it is; -S: Ctrl-C is answered
# from the first moment on. After it make prints a line of its own, "Interrupt".
INSTALL := @$(PYTHON) -S deployments/install.py

.PHONY: install retrain test test-system test-postgresql soak check up bench flaml mlflow-server other-scikit-learn onnxruntime-web mutate lock clean format docs extras catboost site

# A table that is not there is reported before anything is installed; later `housing` does it, which
# knows what is stored.
TABLE  := HOUSING_CENSUS
census := $(if $(wildcard $(VENV)/.run-installed)$(findstring ://,$($(TABLE))),,census)

retrain: $(census) $(VENV)/.run-installed  ## one run now
	@$(BIN)/housing retrain

install: $(VENV)/.run-installed  ## the environment in .venv, and no run

up: $(VENV)/.run-installed  ## Prefect server, schedules and runner, until Ctrl-C
	@$(BIN)/housing up

PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup

test: $(VENV)/.dev-installed  ## every promise, by its quickest test
	$(PYTEST) -m "not slow and not system and not twin"

test-system: $(VENV)/.dev-installed  ## whole systems: servers, browsers, clusters, faults
	$(PYTEST) -m "system and not slow and not twin"

test-postgresql: $(VENV)/.dev-installed  ## all flows, both stores on the system's PostgreSQL
	$(BIN)/python -m pytest --postgresql -m "not slow" tests/flows tests/deployments/watchdog/test_zombie_runs.py \
	  tests/deployments/test_automations.py
	$(PYTEST) -m "twin and not slow"

soak: $(VENV)/.dev-installed  ## full-size runs, a kill at every commit, more examples of properties
	$(BIN)/python -m pytest -m "slow or property" --hypothesis-profile full --timeout 3600

check: $(VENV)/.dev-installed  ## format, lint, types, import contracts, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -m "not system" tests/docs

format: $(VENV)/.dev-installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev-installed  ## every row of the goals in a quick form
	$(BIN)/python -m benchmarks bench

# A peer to be compared with, in an environment of its own: it is no part of the project.
FLAML ?= build/flaml
flaml:  ## for `python -m benchmarks quality --flaml build/flaml/bin/python`
	$(INSTALL) $(FLAML) "flaml[automl]==2.7.0"

# Tests of the mirror run against it; without it they skip. It takes minutes to install.
mlflow-server: build/mlflow-server/.installed  ## a whole MLflow server in an environment of its own

build/mlflow-server/.installed: requirements/mlflow-server.txt
	$(INSTALL) build/mlflow-server --only-binary :all: --require-hashes --no-deps -r requirements/mlflow-server.txt
	@touch $@

# Another version of scikit-learn, laid before the project's own: an upgrade as a test sees it.
other-scikit-learn:  ## for the system test of ONNX copies
	$(PYTHON) -m pip install -q --no-deps --upgrade --target build/other-scikit-learn "scikit-learn==1.7.2"

onnxruntime-web:  ## for `housing export --to web --runtime build/node_modules/onnxruntime-web`
	npm install --silent --no-save --prefix build onnxruntime-web@1.30.0

# make mutate MODULE="housing/gate/decision_rule housing/gate/power" SAMPLE=30; cosmic-ray has an environment of its own.
SAMPLE ?= 30
mutate: $(VENV)/.dev-installed build/mutation/.installed  ## change MODULE in random places: which changes does no test notice?
	$(BIN)/python -m benchmarks mutation $(MODULE) --sample $(SAMPLE) $(if $(TESTS),--tests $(TESTS)) $(if $(KEEP),--keep)

build/mutation/.installed: requirements/mutation.txt
	$(INSTALL) build/mutation --only-binary :all: --require-hashes --no-deps -r requirements/mutation.txt
	@touch $@

# What CatBoost asks for and only its own plots import.
WITHOUT := --no-emit-package plotly

# The lock files carry pins and hashes and no address, so any index serves.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate -o requirements/run.txt
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate -c requirements/run.txt $(WITHOUT) -o requirements/dev.txt
	uv pip compile pyproject.toml --extra dask --extra lightgbm --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate -c requirements/run.txt -o requirements/extras.txt \
	  $$(sed -n 's/^\([a-z0-9_.-]*\)==.*/--no-emit-package \1/p' requirements/run.txt)
	uv pip compile pyproject.toml --extra catboost --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate -c requirements/run.txt $(WITHOUT) -o requirements/catboost.txt \
	  $$(sed -n 's/^\([a-z0-9_.-]*\)==.*/--no-emit-package \1/p' requirements/run.txt)
	uv pip compile requirements/mutation.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate --no-emit-package yattag -o requirements/mutation.txt
	uv pip compile requirements/sbom.in --override requirements/sbom.in --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements/sbom.txt
	uv pip compile requirements/site.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate -o requirements/site.txt
	uv pip compile requirements/mlflow-server.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate -o requirements/mlflow-server.txt
	uv pip compile requirements/tables.in --no-deps --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate -o requirements/tables.txt

.PHONY: census
census:
	@[ -z "$$$(TABLE)" ] || [ -e "$$$(TABLE)" ] || { echo "There is no file $$$(TABLE)." \
	  "Set $(TABLE) to a readable path or URL, or unset it to download the table."; exit 1; }

$(VENV)/.run-installed: requirements/run.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name it with: make PYTHON=python3.12 ..."; exit 1; }
	$(INSTALL) $(VENV) --require-hashes --no-deps -r requirements/run.txt
	$(INSTALL) $(VENV) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev-installed: requirements/dev.txt requirements/tables.txt $(VENV)/.run-installed
	$(INSTALL) $(VENV) --require-hashes --no-deps -r requirements/dev.txt
	$(INSTALL) $(VENV) --require-hashes --no-deps --no-build-isolation -r requirements/tables.txt
	@touch $@

extras: $(VENV)/.run-installed  ## LightGBM and Dask, which the default does without
	$(INSTALL) $(VENV) --require-hashes --no-deps -r requirements/extras.txt

catboost: $(VENV)/.run-installed  ## CatBoost, a family of models
	$(INSTALL) $(VENV) --require-hashes --no-deps -r requirements/catboost.txt

docs: $(VENV)/.dev-installed  ## pages that are made from the code
	$(BIN)/python -m deployments.generate_docs

# The README is its first page; links to what is a page above docs stay links to pages.
SITE := build/pages
site: build/zensical/.installed  ## the documentation as pages with search
	@rm -rf $(SITE) && mkdir -p $(SITE) && cp -R docs $(SITE)/docs && mv $(SITE)/docs/zensical.toml $(SITE)
	@cp CONTRIBUTING.md CHANGELOG.md LICENSE $(SITE)/docs
	@sed 's#](docs/#](#g' README.md > $(SITE)/docs/index.md
	@sed -i 's#](\.\./README\.md#](index.md#g; s#](\.\./CONTRIBUTING#](CONTRIBUTING#g' $(SITE)/docs/*.md
	@build/zensical/bin/zensical build --strict --config-file $(SITE)/zensical.toml
	@echo "$(SITE)/site is ready; python3 -m http.server --directory $(SITE)/site shows it"

build/zensical/.installed: requirements/site.txt
	$(INSTALL) build/zensical --only-binary :all: --require-hashes --no-deps -r requirements/site.txt
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
