# Every target sets up what it needs first; a second run skips all that is in place.
# Options for the program behind a target: make demo ARGS="--home DIR --port N"
ARGS ?=
BIN := .venv/bin

.PHONY: demo test bench lint setup clean

demo:
	@sh .ci/setup demo
	@exec $(BIN)/clinic demo $(ARGS)

test:
	@sh .ci/setup test
	@exec $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

bench:
	@sh .ci/setup bench
	@exec $(BIN)/python -m benchmarks $(ARGS)

lint:
	@sh .ci/setup lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

setup:
	@sh .ci/setup test

clean:
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
