# make up                 run Holdfast (SAMPLE=0 starts empty; PORT=8001 HOST=… choose the address;
#                         STORES=1 runs PostgreSQL and Valkey alone, for a restore)
# make test               run all tests (TESTS=tests/core for a part, WORKERS=4 for more at once)
# make proofs             try every promise on a real installation (QUICK=1 for minutes, ONLY=name for one)
# make mutants           which rules no test holds: hours (MINUTES=60 for less, ONLY=moderation for a part)
# make check              lint, types, templates, migrations, deployment settings
# make bench              print every measured claim side by side (QUICK= for the full sizes)
# make lock               write the hash-pinned lock files anew from pyproject.toml (needs uv)
# make screenshots        take the pictures of the README anew from a sample installation
# make clean              remove caches; the data in var/ and the environment in .venv/ stay

PYTHON_ENV = .venv/bin/python
TESTS ?= tests
WORKERS ?= 2
QUICK ?= --quick

.PHONY: up test proofs mutants check bench lock screenshots clean venv venv-dev node-dev

up: venv
	@exec $(PYTHON_ENV) -m config.runtime.up

test: venv-dev node-dev
	@exec $(PYTHON_ENV) -m pytest -n $(WORKERS) --dist loadfile $(TESTS)

proofs: venv-dev
	@exec $(PYTHON_ENV) -m tests.proofs $(if $(filter-out 0 --quick,$(QUICK)),--quick) $(if $(ONLY),--only $(ONLY))

mutants: venv-dev
	@exec $(PYTHON_ENV) -m tests.mutants --minutes $(or $(MINUTES),480) $(if $(ONLY),--only $(ONLY))

check: venv-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	$(PYTHON_ENV) -m mypy
	.venv/bin/djlint templates --lint --quiet
	@# Only the sources count here; Django would also like to look into a database.
	HOLDFAST_TESTING=1 $(PYTHON_ENV) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	sh config/runtime/deploy_check.sh
	@# No native library inside a wheel may be older than core/bundled.toml says.
	HOLDFAST_TESTING=1 $(PYTHON_ENV) -W ignore manage.py bundled --check >/dev/null

bench: venv-dev
	@for each in $$(grep -l __main__ benchmarks/*.py); do echo "== $$each"; $(PYTHON_ENV) $$each $(QUICK) || exit 1; done

lock:
	cd tests/clients/typescript && npm install --package-lock-only --silent
	uv pip compile pyproject.toml --extra s3 --generate-hashes --no-annotate --no-header \
		--universal --python-version 3.11 -o requirements.txt -q
	uv pip compile pyproject.toml --group dev --group peers --extra s3 --generate-hashes --no-annotate --no-header \
		--universal --python-version 3.11 -o requirements-dev.txt -q

screenshots: venv-dev
	@exec $(PYTHON_ENV) tests/screenshots.py

clean:
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis test-results
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

venv:
	@sh config/runtime/venv.sh requirements.txt

venv-dev:
	@sh config/runtime/venv.sh requirements-dev.txt

node-dev:
	@sh tests/clients/typescript/install.sh
