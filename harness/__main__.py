"""`python -m harness`, and the console script: hear the signals that stop us before the imports,
which take a while.
"""

from __future__ import annotations

import sys

from harness.kernel.process import stopping


def main() -> None:
    """Run the command line. A stop in the imports ends like any other."""
    stopping.listen()
    try:
        from harness.cli import main as command
    except BaseException:
        if stopping.heard():
            sys.exit(stopping.STOPPED)
        raise
    command()


if __name__ == "__main__":
    main()
