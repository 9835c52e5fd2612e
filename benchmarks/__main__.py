"""`python -m benchmarks`: ingest, then queries (`benchmarks.query`) and retrieve
(`benchmarks.retrieve`).

`python -m benchmarks.viewer` has the viewer's.
"""

import sys

from benchmarks import ingest, query, retrieve

if __name__ == "__main__":
    ingest.main()
    query.main([])
    retrieve.main(["--full"] if "--full" in sys.argv else [])
