# `make help` lists the targets. Nothing has to be activated or installed first: each target does the set-up.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed
# Tools write to the project's scratch folder, not to the user's home.
export YOLO_CONFIG_DIR := $(CURDIR)/.finetrack/ultralytics
export MPLCONFIGDIR := $(CURDIR)/.finetrack/matplotlib
export DVC_SITE_CACHE_DIR := $(CURDIR)/.finetrack/dvc/site
export DVC_GLOBAL_CONFIG_DIR := $(CURDIR)/.finetrack/dvc/global
export DVC_SYSTEM_CONFIG_DIR := $(CURDIR)/.finetrack/dvc/system
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
# Temporary files too, unless this path is too long for the sockets that the loader's processes create there.
TEMPORARY := $(CURDIR)/.finetrack/tmp
QUOTED := '$(subst ','\'',$(TEMPORARY))'
ifeq ($(shell mkdir -p $(QUOTED) && test $$(printf %s $(QUOTED) | wc -c) -le 71 && echo short),short)
export TMPDIR := $(TEMPORARY)
endif
export PATH := $(CURDIR)/$(BIN):$(PATH)
# DVC ends where the user has no name, as in a container that is run with another user id.
ifeq ($(LOGNAME)$(USER),)
export LOGNAME := uid$(shell id -u)
endif

.PHONY: help setup repro ui push pull test test-all faults coverage fuzz properties lint lock export-lock export-env server-lock server-env deps map sbom bench soak results recipes

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) $(BIN)/finetrack  ## Create .venv from the hash-pinned lock (every other target does it too)

# The command line from any folder of the project.
$(BIN)/finetrack: $(wildcard pipeline/commands/finetrack.sh) | $(READY)
	@test -z '$<' || install -m 755 '$<' $@

$(READY): requirements.lock | .dvc/config.local
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "Python 3.11, 3.12 or 3.13 is needed, not $$($(PYTHON) --version 2>&1): run make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@echo "Installing requirements.lock into .venv (PyTorch is large: some minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $(READY)

# For a dvc typed by hand. DVC resolves a relative folder from the current one, so this is absolute, and updated after a move.
# It is quoted where it has more than plain characters: DVC ends a value at # and at a comma.
.dvc/config.local: FORCE
	@case "$$DVC_SITE_CACHE_DIR" in *\"*) q="'''" ;; *[!A-Za-z0-9/._-]*) q='"' ;; *) q= ;; esac; \
	export SITE_LINE="    site_cache_dir = $$q$$DVC_SITE_CACHE_DIR$$q"; \
	test -e $@ || printf '[core]\n%s\n' "$$SITE_LINE" > $@; \
	grep -qxF -e "$$SITE_LINE" $@ || { moved=$$(awk '/^ *site_cache_dir = .*\/\.finetrack\/dvc\/site["\047]*$$/ { $$0 = ENVIRON["SITE_LINE"] } { print }' $@) && printf '%s\n' "$$moved" > $@; }

FORCE:

repro: setup  ## Run what changed: compose, prepare, augment, finetune, evaluate
	@found=$$(LC_ALL=C git rev-parse --git-dir 2>&1) || { case "$$found" in *"dubious ownership"*) echo "git refuses to work in this folder, which belongs to another user: run 'git config --global --add safe.directory \"$$PWD\"' if you trust it" ;; *) echo "DVC needs a git repository here: run 'git init && git add -A && git commit -m start', then make repro again" ;; esac; exit 1; }
	$(BIN)/python -m dvc repro

# The value of a variable that was typed after `make`: HOST and BRANCH exist in some environments for something else.
typed = $(if $(filter command,$(firstword $(origin $1))),$($1))

ui: setup  ## The MLflow UI on http://127.0.0.1:5001: make ui [PORT=5001] [HOST=0.0.0.0, for other machines too]
	@$(BIN)/python -m pipeline ui --host $(or $(call typed,HOST),127.0.0.1) --port $(or $(call typed,PORT),5001)

push: setup  ## Push data, weights and experiments to the team's remotes: make push [REMOTE=name] [BRANCH=1]
	@$(BIN)/python -m pipeline push $(if $(call typed,REMOTE),--remote $(REMOTE)) $(if $(call typed,BRANCH),--branch)

pull: setup  ## Pull data, weights and experiments from the team's remotes: make pull [REMOTE=name]
	@$(BIN)/python -m pipeline pull $(if $(call typed,REMOTE),--remote $(REMOTE))

test: setup  ## The tests, with the same property-test cases each time: under 10 minutes on 2 cores
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-all: setup  ## All tests, the slow ones too, with new random property-test cases
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --hypothesis-profile random

faults: setup  ## Inject every fault, and write the outcomes to docs/reliability.md: make faults [TRIES=20] [SEED=0]
	FAULT_TRIES=$(or $(TRIES),20) FAULT_SEED=$(or $(SEED),0) $(BIN)/python -m pytest -n 2 -q -p tests.fault_table -m fault --fault-table docs/reliability.md

coverage: setup  ## Measure which lines and branches the tests run (takes half as long again)
	rm -rf .finetrack/coverage && mkdir -p .finetrack/coverage
	$(BIN)/coverage run -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" -q
	$(BIN)/coverage combine -q && $(BIN)/coverage report --precision=2 --skip-covered --sort=miss

fuzz: setup  ## Corrupt inputs of all readers, keep crashes in .finetrack/fuzz, then make properties: make fuzz [SECONDS=300] [TARGETS="yolo coco"]
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),300) $(TARGETS)
	$(if $(TARGETS),,$(BIN)/python -m tests.fuzz.properties --seconds $(or $(SECONDS),300))

properties: setup  ## Repeat the property tests with new random cases: make properties [SECONDS=300]
	$(BIN)/python -m tests.fuzz.properties --seconds $(or $(SECONDS),300)

lint: setup  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

deps: setup  ## List in pipeline/code.json, file by file, the code that each stage runs
	$(BIN)/python -m tests.contracts.closure

map: setup  ## Write the map of the modules in docs/architecture.md from their first docstring lines
	$(BIN)/python -m tests.contracts.module_map

lock: setup  ## Resolve requirements.lock from the ranges in pyproject.toml, then those of the exporters and of the server
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group dev pyproject.toml --upgrade --quiet -o requirements.lock.new
	mv requirements.lock.new requirements.lock
	$(MAKE) --no-print-directory export-lock server-lock

# Nothing but what nncf wants otherwise (numpy, networkx) has another version than in the environment of a training.
export-lock: setup  ## Resolve requirements-export.lock: the versions of requirements.lock, and the exporters' packages
	mkdir -p .finetrack && sed -nE '/^(numpy|networkx)==/d; s/^([a-zA-Z0-9._-]+==[^ ]+( ; [^\\]*[^\\ ])?).*/\1/p' requirements.lock > .finetrack/training-versions.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra export-onnx --extra export-openvino --constraints .finetrack/training-versions.txt pyproject.toml --upgrade --quiet -o requirements-export.lock.new
	mv requirements-export.lock.new requirements-export.lock

export-env: .venv-export/.installed  ## Create .venv-export with the exporters of ONNX and OpenVINO, from requirements-export.lock

.venv-export/.installed: requirements-export.lock
	@test -x .venv-export/bin/pip || $(PYTHON) -m venv .venv-export
	@echo "Installing requirements-export.lock into .venv-export (PyTorch is large: some minutes the first time) ..."
	@.venv-export/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-export.lock
	@touch .venv-export/.installed

server-lock: setup  ## Resolve deploy/requirements.lock: the versions of requirements.lock, for the team's MLflow server
	mkdir -p .finetrack && sed -nE 's/^([a-zA-Z0-9._-]+==[^ ]+( ; [^\\]*[^\\ ])?).*/\1/p' requirements.lock > .finetrack/server-versions.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group server --constraints .finetrack/server-versions.txt --upgrade --quiet -o deploy/requirements.lock.new
	mv deploy/requirements.lock.new deploy/requirements.lock

server-env: .venv-server/.installed  ## Create .venv-server for the team's MLflow server, from deploy/requirements.lock

.venv-server/.installed: deploy/requirements.lock
	@test -x .venv-server/bin/pip || $(PYTHON) -m venv .venv-server
	@.venv-server/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/requirements.lock
	@touch .venv-server/.installed

sbom: setup  ## Write a software bill of materials (CycloneDX JSON) of each lock to .finetrack/sbom/
	$(BIN)/python -m tests.contracts.bill_of_materials

bench: setup  ## Train in turn with plain `yolo train`, and compare: make bench [EPOCHS=5] [PAIRS=3] [BCCD=folder, or IMAGES=8000 to draw] [IMGSZ=pixels; else 256, BCCD 320] [BATCH=16]
	$(BIN)/python benchmarks/training.py --epochs $(or $(EPOCHS),5) --pairs $(or $(PAIRS),3) --batch $(or $(BATCH),16) $(if $(IMGSZ),--imgsz $(IMGSZ)) $(if $(BCCD),--data bccd --bccd $(BCCD),$(if $(IMAGES),--images $(IMAGES)))

soak: setup  ## Repeat a small iteration in a clone, and see what grows: make soak [ITERATIONS=200]; it goes on where it stopped
	$(BIN)/python benchmarks/soak.py --iterations $(or $(ITERATIONS),200)

# The folders of public data sets, as the arguments of benchmarks; DATA holds them.
DATA_SETS = --bccd $(DATA)/bccd --rbc-coco $(DATA)/rbc-coco --windturbine $(DATA)/windturbine --deeppcb $(DATA)/deeppcb-subset --feralcat $(DATA)/feralcat-seg --weights $(DATA)/weights

results recipes: | require-data
.PHONY: require-data
require-data:
	@test -d "$(DATA)/bccd" || { echo "DATA=FOLDER must name the folder that holds the data sets: bccd, rbc-coco, ... and weights" >&2; exit 2; }

results: setup  ## Measure again, and write docs/results.md: make results DATA=folder [SEEDS=0,1,2] [JOBS=2] [BASES=yolov8n,foundation] [METHODS="yolo train,full"] [PIXELS=256] [EPOCHS=20]
	$(BIN)/python benchmarks/results.py $(DATA_SETS) $(if $(SEEDS),--seeds $(SEEDS)) --jobs $(or $(JOBS),2) $(if $(BASES),--bases $(BASES)) $(if $(METHODS),--methods "$(METHODS)") $(if $(PIXELS),--pixels $(PIXELS)) $(if $(EPOCHS),--epochs $(EPOCHS))

recipes: setup  ## Search training recipes on real data sets by val: make recipes DATA=folder [RECIPES=default,warm-3] [BASES=yolov8n,yolo11n] [SETS=bccd] [SEEDS=1] [EPOCHS=20, or MINUTES=2]
	$(BIN)/python benchmarks/recipes.py $(DATA_SETS) --seeds $(or $(SEEDS),1) $(if $(BASES),--bases $(BASES)) $(if $(SETS),--sets $(SETS)) $(if $(RECIPES),--recipes $(RECIPES)) $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(MINUTES),--minutes $(MINUTES))
