"""Run simple-evals as it is, but for where it writes (it has /tmp in its text), and for what it
says where its questions cannot be fetched: that there is no such eval.

python simple_evals.py FOLDER OUT --model NAME --eval NAME --examples N
"""

from __future__ import annotations

import builtins
import sys
import urllib.request
from importlib import import_module
from pathlib import Path
from typing import Any


def main() -> None:
    """Import the folder as the package that it is, and call its `main`."""
    folder, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    sys.path.insert(0, str(folder.parent))
    opener: Any = builtins.open
    library: Any = urllib.request
    fetch = library.urlopen
    program: Any = import_module(f"{folder.name}.simple_evals")

    def opened(path: str, *how: Any) -> Any:
        """Open what it would open, in OUT in place of /tmp."""
        place = out / Path(path).name if path.startswith("/tmp/") else Path(path)
        return opener(place, *how)

    def fetched(asked: Any, *how: Any, **more: Any) -> Any:
        """Fetch questions, or end with the reason why they are not there."""
        try:
            return fetch(asked, *how, **more)
        except OSError as error:
            sys.exit(f"cannot fetch {getattr(asked, 'full_url', asked)}: {error}")

    program.open = opened
    library.urlopen = fetched
    sys.argv = ["simple_evals", *sys.argv[3:]]
    program.main()


if __name__ == "__main__":
    main()
