"""Does a Ray cluster answer at an address? `python -m harness.study.cluster.probe
ADDRESS` says "yes", or why not, and may be killed when it takes too long: Ray itself tries for two
minutes, and cannot be interrupted.
"""

from __future__ import annotations

import sys

from harness.kernel.errors import first_line
from harness.kernel.process import children
from harness.study.cluster.quiet import connect


def main() -> None:
    """Connect, and say what came of it."""
    children.bind()
    try:
        connect(sys.argv[1]).nodes()
    except Exception as fault:
        print(first_line(fault))
        return
    print("yes")


if __name__ == "__main__":
    main()
