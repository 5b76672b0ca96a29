"""`python -m harness`. Python would look for every module in the folder it is started in first, and
that may be the folder of somebody else's run: a numpy.py there would be taken for numpy. So that
folder is left out; `--sut module:factory` looks there last (`harness.kernel.plugins`).
"""

import os
import sys

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if not sys.flags.safe_path and os.path.realpath(sys.path[0]) != os.path.realpath(_ROOT):
    del sys.path[0]

from harness.cli import main  # noqa: E402

main()
