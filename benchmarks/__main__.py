"""`python -m benchmarks`: the ingest figures; `python -m benchmarks.viewer` has the viewer's."""

from benchmarks.ingest import main

if __name__ == "__main__":
    main()
