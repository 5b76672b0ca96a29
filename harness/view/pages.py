"""What do the pages of the list look like? The templates beside this file, filled.

What strangers wrote is made harmless where it is filled in (`reports.pages.html`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from harness.kernel.words.figure import number, size
from harness.view import summary
from harness.view.index import Entry, Index
from harness.view.listing import KINDS, Asked, Line, Page
from harness.view.rooted import files_in
from harness.view.summary import Summary
from reports.pages.html import environment, page_style

_HERE = Path(__file__).parent
STATIC = {"view.css": "text/css", "view.js": "text/javascript"}
COLUMNS = (  # name, label, is it a figure
    ("started", "Begun, UTC", False),
    ("scenario", "What", False),
    ("model", "Model", False),
    ("variant", "Variant", False),
    ("status", "Status", False),
    ("tokens_per_s", "tokens/s", True),
    ("ttft_p50_ms", "TTFT p50, ms", True),
    ("tpot_p50_ms", "TPOT p50, ms", True),
    ("peak_bytes", "Peak memory", True),
)
STATUSES = ("VALID", "INVALID", "PASS", "FAIL", "ERROR", "RUNNING", "UNFINISHED", "DAMAGED")
_MOST_RAW = 400  # settings that are shown


def list_page(index: Index, page: Page, wanted: Asked) -> str:
    """Return the whole page of the list."""
    return _render("list.html", **_list(index, page, wanted))


def list_part(index: Index, page: Page, wanted: Asked) -> str:
    """Return what changes of the list: its table and the pages."""
    return _render("part.html", **_list(index, page, wanted))


def rows_inside(lines: Sequence[Line], level: int) -> str:
    """Return the rows of what is in a study."""
    return _render("inside.html", lines=lines, level=level)


def entry_page(index: Index, entry: Entry, known: Summary, inside: Sequence[Line]) -> str:
    """Return the page of a run or a study: what it is, its cells, its files."""
    folder = index.root / entry.path
    return _render(
        "entry.html",
        entry=entry,
        known=known,
        figures=_figures(known),
        cells=_cells(folder, entry),
        lines=inside,
        files=[(name, size(count)) for name, count in files_in(folder)],
        conditions=_conditions(folder) if entry.kind == "run" else [],
        settings=_settings(folder) if entry.kind == "run" else [],
        parent=index.entry(entry.parent) if entry.parent else None,
    )


def problem_page(title: str, words: str) -> str:
    """Return the page that says why there is no other."""
    return _render("problem.html", title=title, words=words)


def _list(index: Index, page: Page, wanted: Asked) -> dict[str, Any]:
    return {
        "root": str(index.root),
        "version": index.version,
        "read": index.read,
        "found": len(index.entries),
        "unnamed": index.unnamed,
        "page": page,
        "wanted": wanted,
        "kinds": KINDS,
        "statuses": STATUSES,
        "is_filtered": bool(wanted.words or wanted.status or wanted.kind == "runs"),
    }


def _figures(known: Summary) -> list[tuple[str, str]]:
    figures = (
        ("tokens/s", known.tokens_per_s), ("samples/s", known.samples_per_s),
        ("TTFT p50, ms", known.ttft_p50_ms), ("TPOT p50, ms", known.tpot_p50_ms),
    )  # fmt: skip
    told = [(label, number(value)) for label, value in figures if value is not None]
    return told + ([("peak memory", size(known.peak_bytes))] if known.peak_bytes else [])


def _cells(folder: Path, entry: Entry) -> list[dict[str, Any]]:
    """Return the cells of a study: what each needs, how it ended, and where its run is."""
    study = summary.study_of(folder) if entry.kind == "study" else None
    if study is None:
        return []
    rows = summary.rows_of(folder)
    found = []
    for cell in study.cells:
        row = rows.get(cell.name)
        run = f"{entry.path}/{row.run}" if row is not None and row.run else ""
        found.append(
            {
                "name": cell.name,
                "needs": cell.needs,
                "status": row.status if row else "not measured yet",
                "reason": row.reason if row else "",
                "run": run,
                "tokens_per_s": _float(row.figures.get("tokens_per_s")) if row else None,
            }
        )
    return found


def _float(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _conditions(folder: Path) -> list[dict[str, str]]:
    """Return the conditions of a run, those that do not hold first."""
    rows = _object(folder, "result.json").get("verdicts")
    found = [
        {name: str(row.get(name, "")) for name in ("rule", "status", "detail", "remedy")}
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict)
    ]
    order = {"FAIL": 0, "UNDECIDED": 1, "PASS": 2}
    return sorted(found, key=lambda row: order.get(row["status"], 3))


def _settings(folder: Path) -> list[tuple[str, str, str]]:
    """Return (setting, value, who said so) of what was not left at its default."""
    rows = _object(folder, "settings.json").get("effective")
    found = []
    for row in rows if isinstance(rows, list) else ():
        origin = row.get("origin") if isinstance(row, dict) else None
        if isinstance(origin, str) and not origin.startswith("default"):
            value = f"{row.get('value', '')} {row.get('unit', '')}".strip()
            found.append((str(row.get("name", "")), value, origin))
    return found[:_MOST_RAW]


def _object(folder: Path, name: str) -> Mapping[str, Any]:
    return summary.any_object(folder / name)


# ---- how values are filled in


def address(entry_path: str, what: str = "at") -> str:
    """Return the address of an entry's page, or of something else of it."""
    return f"/{what}/{quote(entry_path)}"


def query(wanted: Asked, **changes: Any) -> str:
    """Return the address of the list with something changed."""
    given = wanted.address(**changes)
    return f"/?{urlencode(given)}" if given else "/"


def _said(name: str, known: Summary) -> str:
    """Write a column of the list: words as they are, a dash for a figure that is not known."""
    value = getattr(known, name)
    if isinstance(value, str):
        return value
    return size(value) if value is not None and name == "peak_bytes" else number(value)


def _render(name: str, **parts: Any) -> str:
    return _ENVIRONMENT.get_template(name).render(**parts)


def static(name: str) -> bytes:
    """Return a file of ours for the pages."""
    ours = (_HERE / "static" / name).read_bytes()
    return page_style().encode() + ours if name == "view.css" else ours


_ENVIRONMENT = environment(_HERE / "templates")
_ENVIRONMENT.globals |= {
    "address": address, "query": query, "columns": COLUMNS, "said": _said,
}  # fmt: skip
