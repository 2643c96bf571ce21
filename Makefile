.PHONY: check lint types test bench gate

check: lint types test

lint:
	ruff format --check .
	ruff check .
	lint-imports

types:
	pyright

test:
	python -m pytest -n 2

bench:
	python -m benchmarks --json

gate:
	python -m benchmarks --check
