# Start with `make fuse` and `make test`; use `make check` while you change things. Everything is installed into .venv/
# on first use.

PYTHON ?= python3
BIN := .venv/bin
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout=300 --nbval-sanitize-with=notebooks/sanitize.cfg

.DEFAULT_GOAL := help
.PHONY: help env hashes fuse lab app notebooks student assignments book slides check fast-tests test lint style types bench bench-quick gpu ablation ablation-test clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

env: .venv/.installed  ## install everything into .venv/ (the other commands do it for you)

# The stamp is written last: an installation that was interrupted, or is older than its lists, starts afresh. Where .venv
# is a link, rm takes away the link; `venv --clear` would empty the environment that it leads to.
.venv/.installed: constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "This kit needs Python 3.11 or newer, but $(PYTHON) says: $$($(PYTHON) --version 2>&1 | head -n 1)"; \
	  echo "Install a newer one and name it, for example: make env PYTHON=python3.12"; exit 1; }
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install torch==$(TORCH) -c constraints.txt -e ".[notebooks,dev,book]"
	@touch $@

# The newest pip asks an index for the dependencies of a file and does not download it; older ones fetch them all. The
# last two names install the kit itself, which comes without a hash.
hashes:  ## write requirements-hashes.txt, what to install on machines like this, for pip install --require-hashes
	$(PYTHON) -m venv build/hashes
	build/hashes/bin/python -m pip install --quiet --upgrade pip
	build/hashes/bin/python -m pip install --quiet --use-feature=fast-deps --dry-run --ignore-installed --report build/hashes/report.json -c constraints.txt ".[notebooks,dev,book]" hatchling editables
	$(PYTHON) hashes.py < build/hashes/report.json > build/hashes/requirements.txt
	mv build/hashes/requirements.txt requirements-hashes.txt
	rm -r build/hashes

fuse: env  ## fuse the sample pairs and draw a contact sheet
	$(BIN)/mambadfuse fuse --samples --overwrite --out outputs/samples

# LESSON=06, or "06 07", names the lessons of notebooks, student, lab, assignments and slides; without it they take all.
FIRST := $(notdir $(wildcard notebooks/$(or $(firstword $(LESSON)),00)_*.ipynb))

# The server's root is the repository, so that links to solutions and to files of the package can be followed.
lab: student  ## open the course in JupyterLab, without its solutions; LESSON=06 opens one lesson
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/student/$(FIRST)

# The first page is ready before it is asked for, and loads no extension but those of the widgets.
# A page that is closed asks to end its kernel, and forgets the XSRF token (Voila issue 1458). Origins stay checked.
app: env  ## open the panels without any code around them, for a lecture hall; its address holds a token
	JUPYTER_PATH=notebooks/app $(BIN)/voila --token --Voila.ip=127.0.0.1 --template=offline --Voila.tornado_settings=disable_check_xsrf=True --VoilaConfiguration.extension_allowlist=@voila-dashboards/widgets-manager8 --VoilaConfiguration.extension_allowlist=@jupyter-widgets/jupyterlab-manager --VoilaConfiguration.extension_allowlist=ipyevents --preheat_kernel=True notebooks/app/panels.ipynb

notebooks: env  ## run all notebooks, or LESSON=06, from top to bottom and keep their outputs
	OMP_NUM_THREADS=1 $(BIN)/python notebooks/build.py $(LESSON)

student: env  ## write copies of the notebooks, or LESSON=06, without solutions into notebooks/student/
	$(BIN)/python notebooks/build.py --student $(LESSON)

# The checks are run by nbgrader, which the tests need as well: `make env` installs it.
assignments: env  ## write assignments for nbgrader, all or LESSON=06, to hand out and grade, into outputs/assignments/
	$(BIN)/python notebooks/assignments.py $(LESSON)

# What has not changed since is kept; `make clean` makes all of it anew.
book: env  ## make the book, from the stored outputs of the notebooks: open outputs/book/index.html
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -q -j auto -c docs/book -d build/book . outputs/book

slides: env  ## make slides, all or LESSON=06, as pages and (where there is a browser) PDF files, in outputs/slides/
	$(BIN)/python docs/teaching/slides/build.py $(LESSON)

# Types are checked while the tests run.
check: style  ## lint, types and the fast tests: for every change
	@$(MAKE) --no-print-directory --jobs=2 types fast-tests

fast-tests: env
	$(PYTEST) -m "not slow" tests

test: lint  ## lint, types, all tests and (where there are any) notebooks: before every commit
	$(PYTEST) tests
ifneq ($(wildcard notebooks/*.ipynb),)
	MAMBADFUSE_PROFILE=ci $(PYTEST) $(NBVAL) notebooks
endif

lint: style types  ## style and types only

style: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: env
	$(BIN)/mypy

bench: env  ## measure speed and memory on this machine
	$(BIN)/python -m benchmarks

ABLATION := $(BIN)/mambadfuse ablate --out outputs/roadscene --primary Qabf --margin 2%

ABLATED = $(ABLATION) --table mambadfuse/ablation/results/roadscene.yaml --keep-weights \
  --set loss=local steps=2000 batch=2 crop_sizes=24x48 --metrics EN SD SF MI SCD VIF Qabf SSIM band halo target \
  --pairs $(ROADSCENE)/train/ir $(ROADSCENE)/train/vi --validate $(ROADSCENE)/val/ir $(ROADSCENE)/val/vi

ablation: env  ## train and compare the rows of the shipped results; give ROADSCENE=folder, and repeat to resume
	OMP_NUM_THREADS=1 $(ABLATED) --seeds 10

ablation-test: env  ## score its weights once on test pairs; give TNO=folder
	OMP_NUM_THREADS=1 $(ABLATION) --component benchmarks.attention:RowAttention --test $(TNO)/ir $(TNO)/vi

bench-quick: env  ## the same, on small sizes
	$(BIN)/python -m benchmarks --quick

gpu: env  ## on a machine with a GPU: check every backend and measure, in an hour, for a report in outputs/gpu/
	$(BIN)/python -m benchmarks.gpu

clean:  ## remove .venv/, outputs/ and caches; weights and runs/ stay
	rm -rf .venv outputs build dist .pytest_cache .hypothesis .ruff_cache .mypy_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
