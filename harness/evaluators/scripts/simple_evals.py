"""Run simple-evals as it is, but for where it writes: it has /tmp in its text.

python simple_evals.py FOLDER OUT --model NAME --eval NAME --examples N
"""

from __future__ import annotations

import builtins
import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def main() -> None:
    """Import the folder as the package that it is, and call its `main`."""
    folder, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    sys.path.insert(0, str(folder.parent))
    opener: Any = builtins.open
    program: Any = import_module(f"{folder.name}.simple_evals")

    def opened(path: str, *how: Any) -> Any:
        """Open what it would open, in OUT in place of /tmp."""
        place = out / Path(path).name if path.startswith("/tmp/") else Path(path)
        return opener(place, *how)

    program.open = opened
    sys.argv = ["simple_evals", *sys.argv[3:]]
    program.main()


if __name__ == "__main__":
    main()
