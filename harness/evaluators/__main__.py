"""`python -m harness.evaluators [TOOL...]`: make an environment for each tool (`make tools`)."""

from __future__ import annotations

import sys

from harness.evaluators.environments import make
from harness.kernel.errors import HarnessError
from harness.kernel.process.streams import tell

try:
    make(sys.argv[1:])
except HarnessError as error:
    tell(f"error: {error}")
    sys.exit(error.exit_code)
