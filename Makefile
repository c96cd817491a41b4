# make            lists the targets
# make repro      environment, data, then music and faces: validated, trained, exported, evaluated, promoted
.DEFAULT_GOAL := help
.ONESHELL:
.SHELLFLAGS := -eu -o pipefail -c
SHELL := bash

PYTHON ?= python3
LAB ?=
SHADOW ?=
COUNT ?=
SEED ?=
REPLAY ?=
COVERAGE ?=
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1

ENVIRONMENT := .venv/.installed
QUIETLY := --quiet --disable-pip-version-check
INSTALL := python -m pip install $(QUIETLY) --require-hashes --no-deps --no-build-isolation

.PHONY: help environment data repro remote pull search smoke serve stack pipelines manifests test test-containers test-cluster fuzz mutants lint audit system lock bench

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

environment: $(ENVIRONMENT)
$(ENVIRONMENT): requirements.lock requirements-cuda.lock pyproject.toml serving/page/package-lock.json .dvc/plots/package-lock.json .dvc/plots/make_page.py
	@echo "making .venv from requirements.lock (a few minutes, once)"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	[ -x .venv/bin/python ] || $(PYTHON) -m venv .venv
	# Setuptools first: what comes as source only is built with the locked one, not with one that nobody checked.
	python infra/docker/requirements.py --package setuptools | $(INSTALL) --requirement /dev/stdin
	builds="$${PIP_FIND_LINKS:-$$(python -m pip config get global.find-links 2>/dev/null || true)}"
	python infra/docker/requirements.py --all --builds "$$builds" | $(INSTALL) --requirement /dev/stdin
	python infra/docker/requirements.py --cuda | $(INSTALL) --requirement /dev/stdin
	python -m pip install $(QUIETLY) --no-deps --no-build-isolation --editable .
	python -m pip check
	for scripts in serving/page .dvc/plots; do npm ci --prefix $$scripts --ignore-scripts --no-audit --no-fund --loglevel=error; done
	python .dvc/plots/make_page.py
	touch $@

data: $(ENVIRONMENT) ## fetch the datasets and check them against their pin
	@python -m components fetch $(LAB)

repro: $(ENVIRONMENT) ## make, measure and promote music and faces (LAB=digits: one lab, LAB=all: every lab)
	@python -m components fetch $(if $(filter all,$(LAB)),,$(or $(LAB),music faces))
	python -m components repro $(LAB)

remote: $(ENVIRONMENT) ## name the DVC remote that `dvc push` and `make pull` take (URL=s3://bucket/path, or a folder)
	@python -m components remote $(URL)

pull: $(ENVIRONMENT) ## bring models from the DVC remote in place of training, judge and promote them (LAB=music: one)
	@python -m components pull $(LAB)

search: $(ENVIRONMENT) ## search for better training parameters of LAB, killed or not from where it was
	@python -m components search $(LAB)

smoke: $(ENVIRONMENT) ## the whole graph on small slices, in a scratch copy
	@python -m tests.workspace $(LAB)

serve: $(ENVIRONMENT) ## every promoted model on localhost:3000, with a front page (LAB=music: one lab; SHADOW=<bundle>: beside it)
	@python -m serving $(LAB) $(if $(SHADOW),--shadow $(SHADOW))

stack: $(ENVIRONMENT) ## MLflow on PostgreSQL, and S3, on localhost
	@python -m infra.stack

pipelines: $(ENVIRONMENT) ## write every pipeline as YAML, as Kubeflow's page takes it, into pipelines/compiled
	@python -m pipelines compile

manifests: $(ENVIRONMENT) ## write the Kubernetes manifests into infra/k8s/rendered (needs kubectl)
	@python -m infra.manifests

test: data ## the whole test suite (COVERAGE=1: with the lines that it runs)
	@python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile \
	  $(if $(COVERAGE),--cov=components --cov=infra --cov=pipelines --cov=serving --cov-report=term)

test-containers: data ## build the images and run them (Debian, as root, for the engine)
	@python -m pytest -m containers tests/infra/test_containers.py

test-cluster: $(ENVIRONMENT) ## the acceptance suite on a Kubernetes cluster, the current kubectl context
	@python -m pytest -m cluster -rs tests/cluster

fuzz: data ## mutated pictures, tunes, MIDI files, parameters, bundles and requests (COUNT=10000 SEED=0; REPLAY=<kept file>)
	@python -m pytest -m fuzz tests/fuzz $(if $(COUNT),--fuzz-count=$(COUNT)) $(if $(SEED),--fuzz-seed=$(SEED)) \
	  $(if $(REPLAY),--fuzz-replay=$(REPLAY))

mutants: data ## break the guarding modules on purpose and count what their tests notice (killed, it goes on where it was)
	@python -m infra.mutants $(if $(SEED),--seed=$(SEED))

lint: $(ENVIRONMENT) ## ruff, mypy and a search for secrets
	@ruff check .
	ruff format --check .
	python -m infra.secret_scan
	mypy

audit: $(ENVIRONMENT) ## bills of materials into build/sbom; known vulnerabilities of what the lock pins (asks a service)
	@python -m infra.supply_chain sbom
	python -m infra.supply_chain audit

bench: $(ENVIRONMENT) ## the benchmarks, each with both sides of its ratios (hours)
	@for benchmark in training digits digit_papers generation serving abc_collections transfer agents driving uncertainty \
	    chat chat_training chat_scale busy_training distributed faces_training faces_serving faces_detection picture_memory task_start side_by_side; \
	  do python -m benchmarks.$$benchmark; done

system: ## system packages that only tests need (Debian, as root)
	@command -v apt-get >/dev/null || { echo "no apt-get here: install Chromium by hand"; exit 0; }
	command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }

lock: $(ENVIRONMENT) ## make requirements.lock again
	@python -m infra.lock $(if $(PIP_FIND_LINKS),--builds $(PIP_FIND_LINKS))
