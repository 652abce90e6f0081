"""One search engine: words and meanings of what the store holds, on this machine alone."""

import os

# Before anything imports numpy: on two busy cores BLAS threads take the 99th percentile of
# embedding a query from 12 to 212 ms (measured).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
