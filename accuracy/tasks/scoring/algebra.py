"""The process behind `verified`: reads pairs of texts as JSON lines, writes whether they are equal.

A script of its own: it needs math-verify, and nothing of ours.
"""

import contextlib
import json
import logging
import sys

_MOST_BYTES = 4 * 2**30  # of memory that a formula may take


def main() -> None:
    """Answer line by line until the input ends."""
    _limit_memory()
    logging.disable()
    from math_verify import parse, verify

    print("ready", flush=True)
    for line in sys.stdin:
        pair = json.loads(line)
        found = parse(pair["text"])
        is_right = bool(verify(gold=parse(pair["reference"]), target=found))
        words = [one for one in found if isinstance(one, str)]
        answer = words[-1] if words else str(found[-1]) if found else ""
        print(json.dumps({"is_right": is_right, "answer": answer}), flush=True)


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):  # where there is no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))


if __name__ == "__main__":
    main()
