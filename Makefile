# Every target says what it does in `make help`. All but help, lock and clean set .venv up first; that costs nothing
# where nothing changed.
SHELL := /bin/bash
BIN := .venv/bin
ROOT ?= .data/demo
NIGHTLY ?= .data/nightly
EXPERIMENT ?= .data/experiment
CONFIG ?= conf/complete-journey.yaml
PORT ?= 8000

# Another Spark or Python named in the caller's shell would be taken in place of .venv's.
unexport SPARK_HOME SPARK_CONF_DIR PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON PYTHONPATH PYTHONHOME VIRTUAL_ENV
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup doctor demo explore report nightly monitor experiment notebooks serve test test-slow test-all lint format
.PHONY: types check lock mlflow bench-serving clean

help: ## List every target with what it does.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv: locked packages, Java 17, Spark with Delta, Horovod; needs Python 3.11 and g++.
	@scripts/setup.sh

doctor: setup ## Check Java, Delta, Horovod, Petastorm, executors, disk and a write to ROOT; say what mends what.
	$(BIN)/recsys-doctor --root $(ROOT)

demo: setup ## Recommend groceries from a year of real purchases, from the events to the published table.
	$(BIN)/spark-submit jobs/pipeline.py --config $(CONFIG) --root $(ROOT)

# Without ROOT= the root is the configuration's own; what was ingested before is not added again.
EXPLORED = --config $(CONFIG) $(if $(filter-out file,$(origin ROOT)),--root $(ROOT))
explore: setup ## Look at the data of CONFIG, read from DATA where it is given: a page of pictures.
	$(BIN)/spark-submit jobs/ingest.py $(EXPLORED) $(if $(DATA),--set ingest.path=$(DATA))
	$(BIN)/spark-submit jobs/explore.py $(EXPLORED)

report: setup ## Look at the newest model of CONFIG that was trained below ROOT: a page of pictures; after make demo.
	$(BIN)/spark-submit jobs/report.py --config $(CONFIG) --root $(ROOT)

nightly: setup ## Play seven nights of groceries: train once, go on each night, a gate that stops one of them.
	$(BIN)/python scripts/nightly.py --root $(NIGHTLY)

monitor: setup ## See how ROOT's live lists fared on DAY (the newest if none is given), a page; CONFIG is the night's own.
	$(BIN)/spark-submit jobs/monitor.py --config $(CONFIG) --root $(ROOT) $(if $(DAY),--as-of $(DAY))

experiment: OF := --config conf/experiments/demo.yaml --root $(EXPERIMENT)
experiment: setup ## Play an A/B test on made events: design, assign, outcomes with a planted effect, two looks, a verdict page.
	$(BIN)/spark-submit jobs/generate.py $(OF)
	$(BIN)/spark-submit jobs/index.py $(OF)
	$(BIN)/spark-submit jobs/experiment.py design $(OF) --as-of 2024-11-30
	$(BIN)/spark-submit jobs/experiment.py assign $(OF) --as-of 2024-11-30
	$(BIN)/spark-submit jobs/experiment.py simulate $(OF) --effect 0.1
	$(BIN)/spark-submit jobs/experiment.py analyse $(OF) --as-of 2024-12-15
	$(BIN)/spark-submit jobs/experiment.py analyse $(OF)

notebooks: setup ## Open the notebooks in JupyterLab.
	$(BIN)/jupyter lab --notebook-dir notebooks

serve: setup ## Show ROOT's lists on a page, and answer with them over HTTP, at port PORT (8000) of this machine; after make demo.
	$(BIN)/recsys-serve --root $(ROOT) --port $(PORT) --set serve.events_dir=$(ROOT)/feedback

test: setup ## Run the tests, less the slow ones.
	$(BIN)/pytest -m "not slow" -n 2 --dist loadfile

# pytest's status 5 says that no test was found, which is no failure.
test-slow: setup ## Run only the slow tests: several ranks, kills, whole pipelines.
	$(BIN)/pytest -m slow -n 2 --dist loadfile --no-loadscope-reorder || [ $$? -eq 5 ]

test-all: test test-slow ## Run all the tests.

lint: setup ## Check style and format with ruff.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup ## Format the code and mend what ruff can mend by itself.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup ## Check the types of recsys_spark and jobs with mypy, strictly.
	$(BIN)/mypy

check: lint types ## Run lint and types.

lock: ## Resolve setup.py's version ranges afresh and write requirements.lock.
	@scripts/lock.sh

mlflow: setup ## Show what was run below ROOT (the demo's) in MLflow: trainings, studies, benchmarks; at port 5000 of this machine.
	$(BIN)/mlflow ui --backend-store-uri sqlite:///$(ROOT)/mlflow.db --host 127.0.0.1 --port 5000

bench-serving: setup ## Measure the service beside a bare endpoint for ten minutes each, then through new nights and kills; on a quiet machine.
	$(BIN)/python benchmarks/serving.py --users 1000000 --seconds 20 --half-seconds 200 --repeats 3

clean: ## Remove every root under .data, what was built and caches; .venv stays (to remove it too: rm -rf .venv).
	rm -rf .data build dist *.egg-info mlruns spark-warehouse metastore_db derby.log
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
