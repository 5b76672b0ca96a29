"""Draw the picture of the list of runs that docs/view.md shows: `make picture`.

The runs are those of the simulated system on the virtual clock. The list is used as a reader would:
a comparison is opened and two of its runs are chosen, by keyboard.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from docs.picture import shrink
from tests.browser import Browser

PICTURE = Path(__file__).parent / "view.png"
WIDTH, HEIGHT = 1160, 640  # CSS pixels
SIMULATED = shlex.split("--sut simulated --clock virtual --quiet --output-dir")
RUNS = (
    "run --scenario server",
    "run --scenario server --sut-option fault=two_eos",
    "compare --scenario server --target-qps 5,10,20",
)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for words in RUNS:
            harness(*shlex.split(words), *SIMULATED, str(folder / "runs"))
        shrink(photograph(folder), PICTURE)
    print(f"{PICTURE.name}: {PICTURE.stat().st_size:,} bytes")


def harness(*words: str) -> None:
    """Make a run; that of the fault is INVALID, which is exit code 1."""
    subprocess.run(
        [sys.executable, "-m", "harness", *words], check=False, stdout=subprocess.DEVNULL
    )


def photograph(folder: Path) -> Path:
    """Show the runs, open the newest study and choose two runs in it."""
    words = ["view", str(folder / "runs"), "--port", "0", "--json"]
    command = [sys.executable, "-m", "harness", *words]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        Browser(folder) as tab,
    ):
        assert server.stdout is not None
        tab.open(json.loads(server.stdout.readline())["url"] + "/", WIDTH, HEIGHT)
        tab.wait("!document.querySelector('#count').textContent.includes('so far')")
        tab.value("document.querySelector('.top p').textContent = '/home/me/runs'")
        tab.press("ArrowDown")
        tab.press("ArrowRight")
        tab.wait("document.querySelectorAll('tr.inside').length === 3")
        for _ in range(2):
            tab.press("ArrowDown")
            tab.press(" ")
        picture = tab.picture(folder / "list.png")
        server.terminate()
    return picture


if __name__ == "__main__":
    main()
