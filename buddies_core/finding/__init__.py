"""The search engine of this machine: words by tantivy, meanings by vectors, one score for both.

Not here: memories, skills and members. The engine knows only `document`s; `asking` merges what
several machines find.
"""

import os

# Before anything imports numpy: on two busy cores BLAS threads take the 99th percentile of
# embedding a query from 12 to 212 ms (measured).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
