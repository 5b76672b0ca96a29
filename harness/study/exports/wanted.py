"""Which files does a comparison leave for other programs, and can they be written? That is known
before the first run begins.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.engine.pieces import reason
from harness.kernel import files
from harness.kernel.errors import BadInput, RunBroke
from harness.kernel.places import expanded
from harness.kernel.protocols import Say
from harness.study.exports import junit, samples
from reports import blocks
from reports.pages.comparison import effects
from reports.pages.comparison.columns import table as comparison_table
from reports.pages.comparison.sentences import comparable_text

Found = Mapping[str, Any]
SUMMARY = "GITHUB_STEP_SUMMARY"
_MOST_SUMMARY = 1_000_000  # bytes; GitHub drops a summary beyond 1 MiB


class Wanted(NamedTuple):
    """Files to write; None for those that nobody wants. `summary` is added to."""

    junit: Path | None = None
    csv: Path | None = None
    parquet: Path | None = None
    summary: Path | None = None


def summary_file(is_wanted: bool) -> Path | None:
    """Return where a GitHub Actions step keeps its summary. Raises BadInput elsewhere."""
    if not is_wanted:
        return None
    if not (name := os.environ.get(SUMMARY)):
        fine = "GitHub Actions sets it to the file that a step adds to"
        raise BadInput("--github-summary", f"{SUMMARY} is not set", fine, "Leave the flag out.")
    return Path(name)


def check(wanted: Wanted) -> None:
    """Refuse files that cannot be written where they are wanted. Raises BadInput."""
    for name, path in wanted._asdict().items():
        if path is None:
            continue
        flag, place = "--github-summary" if name == "summary" else f"--{name}", expanded(path)
        if place.is_dir():
            raise BadInput(flag, f"{place} is a folder", "expected the name of a file")
        if not place.absolute().parent.is_dir():
            todo = "Create it first."
            raise BadInput(flag, f"the folder {place.absolute().parent} does not exist", "", todo)


def write(found: Found, wanted: Wanted, say: Say) -> None:
    """Write what is wanted. Raises RunBroke where the disk does not take it."""
    runs = [(row["label"], _place(row, found)) for row in found["rows"] if row["run"]]
    if wanted.junit:
        _written(
            wanted.junit, lambda path: files.write_text(path, junit.text(found, _lines(found)))
        )
    if wanted.csv or wanted.parquet:
        say("writing the samples")
        table = samples.samples_table([run for run in runs if _has_samples(run[1])])
        figures = samples.figures_table(found)
        for path, put in ((wanted.csv, _put_csv), (wanted.parquet, _put_parquet)):
            if path:
                _written(path, lambda path, put=put: put(path, table))  # type: ignore[misc]
                beside = path.with_name(f"{path.stem}.figures{path.suffix}")
                _written(beside, lambda path, put=put: put(path, figures))  # type: ignore[misc]
    if wanted.summary:
        _written(wanted.summary, lambda path: _add_summary(path, found))


def _written(path: Path, put: Callable[[Path], object]) -> None:
    place = expanded(path)
    try:
        put(place)
    except OSError as error:
        fine = "the comparison itself is kept"
        raise RunBroke(f"writing {place}", reason(error), fine, "Choose another place.") from None


def _place(row: Found, found: Found) -> Path:
    return Path(str(found["folder"])) / str(row["run"])


def _has_samples(folder: Path) -> bool:
    return (folder / "samples.parquet").is_file()


def _put_csv(path: Path, table: Any) -> None:
    from pyarrow import csv

    with files.replacing(path) as file:
        csv.write_csv(table, file)


def _put_parquet(path: Path, table: Any) -> None:
    from pyarrow import parquet

    with files.replacing(path) as file:
        parquet.write_table(table, file)


def _lines(found: Found) -> dict[str, str]:
    terms = (found.get("limits") or {"terms": ()})["terms"]
    return {f"{term['label']} {term['limit']}": effects.term_text(term) for term in terms}


# ---- the summary of a step on GitHub


def summary(found: Found) -> str:
    """Return the verdict and the tables in Markdown."""
    limits = found.get("limits")
    verdict = limits["status"] if limits else "compared"
    lines = [comparable_text(found), *effects.sentences(found), *effects.refusals(found)]
    told = "".join(f"- {blocks.escaped(line)}\n" for line in lines)
    parts = [f"### Touchstone: {verdict}\n\n{told}"]
    tables = [effects.limits_table(found), comparison_table(found), effects.effects_table(found)]
    parts += [blocks.markdown([table]) for table in tables if table.rows]
    return "\n".join(parts) + "\n"


def _add_summary(path: Path, found: Found) -> None:
    """Add to the file, as other steps of the same job may have; not beyond what GitHub shows."""
    text = summary(found)
    used = path.stat().st_size if path.exists() else 0
    if used + len(text.encode()) > _MOST_SUMMARY:
        text = text.partition("\n\n|")[0] + "\n\nThe tables are too large for a summary.\n\n"
    files.append(path, text)
