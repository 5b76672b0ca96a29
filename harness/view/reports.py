"""Where is the page of a run or a study? In its folder; of a run without one (a cell of a sweep,
say) it is made in memory from the raw files.
"""

from __future__ import annotations

from pathlib import Path

from harness.kernel.errors import HarnessError
from harness.view.rooted import NotHere, opened

MOST_BYTES = 1 << 27
PAGES = (
    "report.html", "compare.html", "gate.html", "perplexity.html", "sweep.html", "decide.html",
    "family.html",
)  # fmt: skip
_BACK = b'<body>\n<p class="soft small"><a href="/">All runs</a></p>'


def stored(root: Path, path: str) -> bytes:
    """Return the page that lies in a folder, with a way back to the list. Raises NotHere."""
    for name in PAGES:
        try:
            with opened(root, f"{path}/{name}") as file:
                data = file.read(MOST_BYTES + 1)
        except NotHere:
            continue
        if len(data) <= MOST_BYTES:
            return with_way_back(data)
    raise NotHere(path)


def made(root: Path, path: str) -> bytes:
    """Make the page of a run from its raw files. Raises NotHere where there are none to make it
    of.
    """
    from harness.engine import runlog
    from harness.result.publish import whole
    from reports.pages import run as run_page

    folder = root / path
    try:
        raw, result = whole(folder)
        columns = runlog.read_telemetry(folder)
        text = run_page.render(result.to_json(), raw.log, columns)
    except (HarnessError, OSError):
        raise NotHere(path) from None
    return with_way_back(text.encode(errors="backslashreplace"))


def with_way_back(page: bytes) -> bytes:
    """Put a link to the list on top of a page."""
    return page.replace(b"<body>", _BACK, 1)
