# Every target sets up what it needs first; `make help` lists them.
#   VENV=DIR       where the environment lives (default .venv)
#   PYTHON=FILE    the Python to make it with (default: the first of 3.10 to 3.13 that is found)
#   ARGS='...'     more arguments for the tool behind demo, train, report or test
SHELL := /bin/bash
VENV ?= .venv
ARGS ?=
JOBS ?= 2
PY := $(VENV)/bin/python
KEY := $(shell requirements/env.sh key)
BASE := $(VENV)/.rapsam-base-$(KEY)
ALL := $(VENV)/.rapsam-all-$(KEY)

# Following objects needs neither the tower that reads words nor names of classes.
WORDLESS := model.head.prompt_encoder.fusion.use_text_encoder=False \
	model.head.prompt_encoder.fusion.text_encoder=None model.head.classifier.embedding_file=None

# This checkout comes before whichever one the environment was made in.
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

.DEFAULT_GOAL := help
.PHONY: help setup setup-all demo annotate annotate-and-train train stages-nano report bench-train bench-gpu docs test \
	lint clean

help:  ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(BASE)  ## Install run-time and development packages (once)
	@echo "$(VENV) is ready"

setup-all: $(ALL)  ## The same and every extra
	@echo "$(VENV) is ready, with every extra"

$(BASE):
	@requirements/env.sh base $(VENV)

$(ALL):
	@requirements/env.sh all $(VENV)

demo: $(BASE)  ## Segment pictures with the embedded model
	$(PY) demo/demo.py $(ARGS)

annotate: $(BASE)  ## Annotate images and videos in a browser
	$(PY) demo/annotate.py $(ARGS)

annotate-and-train: $(BASE)  ## Annotate, fine-tune SAM, annotate better, on Shapes
	$(PY) tools/annotate_and_train.py $(ARGS)

train: $(BASE)  ## Train the small model from scratch on Shapes
	$(PY) tools/train.py configs/rap_sam/rap_sam_nano_quick_shapes.py $(ARGS)

stages-nano: $(BASE)  ## Train the small model in five stages on Shapes, a few minutes' settings
	$(PY) tools/train_stages.py nano $(ARGS)

report: $(BASE)  ## Score the embedded model on held-out Shapes, with pictures
	$(PY) tools/analysis_tools/report_card.py --out outputs/report $(ARGS)

bench-train: $(BASE)  ## Measure time, memory and waiting for data per training step
	$(PY) tools/analysis_tools/bench_train.py $(ARGS)

bench-gpu: $(BASE)  ## Measure ResNet-50 at 1080p on a GPU: everything, one object followed, and each step
	$(PY) tools/analysis_tools/benchmark.py configs/rap_sam/rap_sam_r50_12e_adaptor.py --device cuda:0 \
		--warm-up 10 --frames 50 --compare reference --out outputs/bench_gpu/panoptic $(ARGS)
	$(PY) tools/analysis_tools/benchmark.py configs/rap_sam/rap_sam_r50_joint.py --device cuda:0 \
		--cfg-options $(WORDLESS) --task vos --objects 1 --warm-up 10 --frames 50 \
		--out outputs/bench_gpu/vos $(ARGS)
	$(PY) tools/analysis_tools/bench_steps.py --device cuda:0 --size 1080x1920 --repeats 20 --compile \
		--out outputs/bench_gpu/steps.json

docs: $(ALL)  ## Build the documentation site in outputs/site
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

test: $(BASE)  ## Run the whole test suite
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --durations=20 $(ARGS)

lint: $(BASE)  ## Check style and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

clean:  ## Remove caches and build outputs (keeps .venv, outputs/, work_dirs/)
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
