"""What do other benchmarks' clients make of the same bytes? Not part of `make test`.

    python -m tests.peers --python vllm=PATH --python guidellm=PATH …

Each PATH is the Python of an environment in which that client is installed. The golden server fails
on request; each client's own request code asks it, one query for each failure, and says what it
made of it. The table stands in docs/failures.md.
"""
