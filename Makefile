# Everything a developer of turnback does, by name. Needs Python 3.11 or later, make, and the
# package registries; `make test` checks the state machine with Node as well, where that is there.

PYTHON ?= python3
BIN = .venv/bin
SAM = .turnback/sam
TOOLS = .turnback/tools
SITE = .turnback/site
# Under the GPL: the judge of one slow test, and nothing else may import it.
PGLAST = .turnback/pglast
ASL_VALIDATOR = asl-validator@4.0.0
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--no-header --python-version 3.11

.DEFAULT_GOAL = help
.PHONY: help setup demo test slow lint types template faults releases integration e2e examples site unit package bench picture calls retries reference requirements clean

help:  ## What there is
	@sed -n 's/^\([a-z]*\):.*## /  \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

setup: .venv/made  ## The environment in .venv, with the command .venv/bin/turnback

.venv/made: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "turnback needs Python 3.11 or later: make setup PYTHON=python3.12"; exit 1; }
	@echo "Making .venv from requirements/dev.txt"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation -e .
	@$(BIN)/python -m compileall -q layers/turnback/turnback
	@touch $@

demo: setup  ## Releases that succeed, are refused and are restored, on this machine
	@$(BIN)/turnback demo

# The longest first, so that two at a time end together.
test: integration faults releases e2e template package types site unit lint  ## All that .ci/run runs

slow: setup  ## What takes too long for `make test`: every place of every fault, real projects
	$(BIN)/python -m pytest -q -m slow tests

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

template: setup $(SAM)/made
	AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 $(SAM)/bin/sam validate --lint
	$(SAM)/bin/cfn-lint --regions us-east-1 -- pipeline/template.yaml network.yaml
	@for layer in TurnbackLayer PostgresLayer; do \
		echo "sam build $$layer"; \
		PATH="$(CURDIR)/$(BIN):$$PATH" SAM_CLI_TELEMETRY=0 $(SAM)/bin/sam build $$layer \
			--build-dir .aws-sam/$$layer > .turnback/sam-build.log 2>&1 \
			|| { cat .turnback/sam-build.log; exit 1; }; \
	done
	@if command -v npx > /dev/null; then \
		for machine in release backfill; do \
			npx --yes $(ASL_VALIDATOR) --json-path statemachine/$$machine.asl.json || exit 1; \
		done; \
	else \
		echo "Node is not here, so $(ASL_VALIDATOR) did not look at the state machine."; \
	fi

# As an installed package, and in the workflows of others; tests/package needs the tools.
package: setup $(TOOLS)/made
	$(TOOLS)/bin/vermin --quiet --target=3.11- --violations layers/turnback/turnback
	$(TOOLS)/bin/actionlint
	$(TOOLS)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(TOOLS)/bin/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(TOOLS)/bin/hadolint Containerfile
	$(TOOLS)/bin/shellcheck tests/package/first_use.sh
	$(BIN)/python -m pytest tests/package

# Each pins what it needs, as the SAM CLI its boto3, so they live apart.
$(SAM)/made $(TOOLS)/made $(SITE)/made $(PGLAST)/made: .turnback/%/made: requirements/%.txt | setup
	@echo "Making .turnback/$* from $<"
	@rm -rf .turnback/$*
	@$(BIN)/uv venv --quiet --python $(BIN)/python .turnback/$*
	@$(BIN)/uv pip install --quiet --python .turnback/$* --require-hashes -r $<
	@touch $@

# What the state machine, RDS and the commands on AWS do, and then everything else.
RELEASES = $(wildcard tests/integration/test_re*.py)

releases: setup
	$(BIN)/python -m pytest $(RELEASES)

integration: setup
	$(BIN)/python -m pytest $(filter-out $(RELEASES),$(wildcard tests/integration/test_*.py))

e2e: setup
	$(BIN)/python -m pytest tests/e2e tests/examples

examples: setup  ## Run the commands of the documentation, and compare what they print
	$(BIN)/python -m pytest -q tests/examples

unit: setup
	$(BIN)/python -m pytest tests/unit tests/contract

bench: setup  ## Speed, as ratios to psql and dbmate in the same run, into bench/README.md
	$(BIN)/python bench

# A link that leads nowhere, or anything else that Sphinx has to say, fails it.
site: $(SITE)/made  ## The documentation with search, in .turnback/html, from the same Markdown
	$(SITE)/bin/sphinx-build --quiet --fail-on-warning --keep-going --jobs 2 \
		-c docs/site -d .turnback/html-made . .turnback/html

picture: setup  ## Draw docs/slack.svg from the last message of the last demo
	@test ! -f .turnback/slack.json || cp .turnback/slack.json docs/slack.json
	$(BIN)/python -m turnback.demo.picture docs/slack.json docs/slack.svg

calls: setup  ## Which calls of AWS the functions make, into tests/contract/aws_calls.json
	RECORD_AWS_CALLS=1 $(BIN)/python -m pytest -q tests/integration

retries:  ## The Retry blocks of the state machine, from statemachine/retries.py
	$(PYTHON) statemachine/retries.py

reference: setup  ## What docs/reference takes from the code: commands, JSON
	$(BIN)/python docs/reference/generate.py

requirements: setup  ## Compile the pinned requirements anew, to the newest versions
	$(COMPILE) --upgrade pyproject.toml --extra all -o requirements/cli.txt
	$(COMPILE) --upgrade pyproject.toml --extra dev -o requirements/dev.txt
	$(COMPILE) --upgrade requirements/local-aws.in -o requirements/local-aws.txt
	$(COMPILE) --upgrade --no-strip-extras requirements/sam.in -o requirements/sam.txt
	$(COMPILE) --upgrade requirements/tools.in -o requirements/tools.txt
	$(COMPILE) --upgrade requirements/site.in -o requirements/site.txt
	$(COMPILE) --upgrade requirements/pglast.in -o requirements/pglast.txt
	$(COMPILE) --upgrade layers/turnback/requirements.in -o layers/turnback/requirements.txt
	$(COMPILE) --upgrade --no-deps layers/postgres/requirements.in \
		-o layers/postgres/requirements.txt
	$(COMPILE) --upgrade --no-deps --python-version 3.13 layers/postgres/contrib.in \
		-o layers/postgres/contrib.txt
	cp layers/postgres/contrib.txt layers/turnback/turnback/local/contrib.txt

clean:  ## Remove all that is made again; the project's own database in .turnback stays
	rm -rf .venv .aws-sam .turnback/layers .turnback/regression .turnback/pglast .turnback/local-aws* .turnback/sam* .turnback/tools .turnback/site .turnback/html* build dist \
		.pytest_cache .mypy_cache .ruff_cache layers/turnback/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

faults: setup  ## Kill, cut, freeze and fill up everything, at some steps of each kind
	$(BIN)/python -m pytest -q tests/faults
