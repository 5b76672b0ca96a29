"""`python -m harness`, and the console script: hear the signals that stop us before the imports,
which take a while.

Python would look for every module in the folder it is started in first, and that may be the folder
of somebody else's run: a numpy.py there would be taken for numpy. So that folder is left out;
`--sut module:factory` looks there last (`harness.kernel.plugins`).
"""

from __future__ import annotations

import os
import sys

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if (
    __name__ == "__main__"
    and not sys.flags.safe_path
    and os.path.realpath(sys.path[0]) != os.path.realpath(_ROOT)
):
    del sys.path[0]

from harness.kernel.process import stopping  # noqa: E402


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
