# Short names for the commands of README.md and .ci/run; tests/test_habits.py holds them equal.
# `make` alone lists them. Without make, or on Windows, use README's own commands.

.PHONY: help setup run test browser lint types coverage bench mutations

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' Makefile

setup: ## make the environment with all that development needs
	python3 -m venv .venv && .venv/bin/pip install -r requirements-dev.txt

run: ## start the page on http://127.0.0.1:8501
	.venv/bin/streamlit run app.py

test: ## the fast tests, side by side: about five minutes
	.venv/bin/python -m pytest -n auto -m "not slow and not browser"

browser: ## the page in a real Chromium: about two minutes
	.venv/bin/python -m pytest -m browser

lint: ## rules and format
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: ## mypy, strict
	.venv/bin/mypy

coverage: ## the share of lines that the fast tests run: about six minutes
	-.venv/bin/python -m pytest -n auto -m "not slow and not browser" --cov --cov-report=
	.venv/bin/coverage report

bench: ## the benchmarks that need no recordings: each says whether its ratio to a baseline is kept
	.venv/bin/python -m benchmarks.pipeline
	.venv/bin/python -m benchmarks.export
	.venv/bin/python -m benchmarks.backtest

mutations: ## take each guard out and see a test fail: some minutes
	.venv/bin/python -m benchmarks.mutations
