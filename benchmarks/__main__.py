"""`python -m benchmarks`: the ingest figures, then those of queries (`benchmarks.query`).

`python -m benchmarks.viewer` has the viewer's.
"""

from benchmarks import ingest, query

if __name__ == "__main__":
    ingest.main()
    query.main([])
