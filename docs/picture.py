"""Draw the picture of a report page that README.md shows: `make picture`.

The page is that of the simulated system on the virtual clock, so everybody draws the same run. Its
load rises above what eight slots serve now and then, and it pauses for 0.11 s every 0.71 s, so the
queue and the tails are worth a look. Needs Chromium; Pillow comes with matplotlib.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PICTURE = Path(__file__).parent / "report.png"
WIDTH, HEIGHT = 1160, 1096  # CSS pixels: from the verdict to the second row of plots
COLOURS = 200  # of the palette
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
RUN = shlex.split("""
    run --scenario server --target-qps 10 --min-queries 600 --ttft-limit 2s --tpot-limit 40ms
    --sut simulated --clock virtual --sut-option slots=8
    --sut-option ttft_ms=90 --sut-option per_token_ms=18
    --sut-option fault=stall --sut-option stall_s=0.11 --sut-option stall_every_s=0.71
""")


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shot = photograph(page_of_a_run(folder), folder / "page.png")
        shrink(shot, PICTURE)
    print(f"{PICTURE.name}: {PICTURE.stat().st_size:,} bytes")


def page_of_a_run(folder: Path) -> Path:
    """Make the run and return its report.html."""
    command = [sys.executable, "-m", "harness", *RUN, "--output-dir", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (page,) = folder.glob("*/report.html")
    return page


def photograph(page: Path, picture: Path) -> Path:
    """Let Chromium draw the upper part of `page`, light, one pixel to a CSS pixel."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("picture: found no Chromium; install one of " + ", ".join(BROWSERS))
    flags = ["--no-sandbox", "--headless=new", "--hide-scrollbars"]
    flags += [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={picture}"]
    subprocess.run([browser, *flags, page.as_uri()], check=True, capture_output=True, timeout=120)
    return picture


def shrink(source: Path, target: Path) -> None:
    """Save `source` with a palette: about a third of the bytes, and no difference to the eye."""
    with Image.open(source) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
            target, optimize=True
        )


if __name__ == "__main__":
    main()
