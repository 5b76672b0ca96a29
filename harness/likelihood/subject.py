"""Score one subject, a model in a variant, and keep the row that says what came of it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.kernel import files
from harness.kernel.errors import BY_NAME, HarnessError, SetupFailed
from harness.kernel.foreign import parsed
from harness.kernel.privacy.logs import hide_secrets
from harness.kernel.protocols import Say
from harness.kernel.types import is_address
from harness.likelihood import scores as perplexity_scores
from harness.likelihood.process import bar_of, events
from harness.likelihood.settings import Settings, Subject

Row = dict[str, Any]


def measured(
    place: Path, made: Settings, series: Sequence[Subject], subject: Subject, say: Say
) -> tuple[Row, bool]:
    """Score a subject; return (row, whether the user wants no more). Whatever goes wrong, what was
    scored is kept and the row says why.
    """
    folder = files.subfolder(place, subject.folder)
    row = read_row(place, subject) | {
        "status": "INTERRUPTED",
        "problem": "",
        "failure": "",
        "facts": [],
    }
    row |= {
        "against": None if subject.against is None else series[subject.against].folder,
        "exact": made.exact,
    }
    row |= {"window": made.window, "stride": made.stride}
    interrupted = False
    try:
        job = _job(place, made, series, subject, say)
        with bar_of(subject.label, say) as bar:
            for event in events(job, folder, made.in_process):
                bar(event)
                _hear(event, row, folder)
        row["status"] = "DONE"
    except KeyboardInterrupt:
        interrupted, row["problem"] = True, "interrupted"
    except HarnessError as error:
        row = failed(row, error)
    hide_secrets(folder / "worker.log")
    row |= perplexity_scores.gather(place, folder)
    files.write_json(folder / "subject.json", row)
    if row["status"] == "DONE":
        shutil.rmtree(folder / "parts", ignore_errors=True)
    return row, interrupted


def failed(row: Row, error: HarnessError) -> Row:
    """Return the row of a subject with why it was not scored."""
    return row | {
        "status": "ERROR",
        "problem": str(error),
        "failure": type(error).__name__,
        "facts": error.facts,
    }


def _hear(event: Row, row: Row, folder: Path) -> None:
    """Add what the process says of the subject to its row, which is on the disk while it works.
    Raises what it ended of.
    """
    kind = event["event"]
    if kind == "error":
        raise BY_NAME.get(event["error"], SetupFailed)(*event["facts"])
    if kind in ("checked", "loaded"):
        row |= {name: value for name, value in event.items() if name != "event"}
        files.write_json(folder / "subject.json", row)
    if kind == "done":
        peaks = (event["peak_above_weights_bytes"], row.get("peak_above_weights_bytes"))
        row["peak_above_weights_bytes"] = max(filter(None, peaks), default=None)
        row["batch_tokens"] = event["batch_tokens"]
        row["notes"] = [*row.get("notes", []), *event["notes"]]


def read_row(place: Path, subject: Subject) -> Row:
    known: Row = {
        "model": subject.model,
        "variant": subject.variant,
        "folder": subject.folder,
        "failure": "",
    }
    with suppress(OSError, ValueError):
        known |= parsed.read_json(place / subject.folder / "subject.json")
    return known


def _job(place: Path, made: Settings, series: Sequence[Subject], subject: Subject, say: Say) -> Row:
    """See `sut.likelihood.worker.Job`."""
    against = series[subject.against] if subject.against is not None else None
    if against is not None and read_row(place, against).get("status") != "DONE":
        against = None  # it says so in the summary
    exact = made.exact and against is not None
    compared = any(
        other.against is not None and series[other.against] == subject for other in series
    )
    return {
        "texts": str(place / "texts.parquet"),
        "folder": str(place / subject.folder),
        "model": _model(made, subject, say),
        "other": _model(made, against, say) if exact and against is not None else None,
        "against": str(place / against.folder) if against is not None else None,
        "record": compared and not made.exact,
        **{
            name: getattr(made, name)
            for name in ("bos", "window", "stride", "batch_tokens", "conditions", "top_k")
        },
    }


def _model(made: Settings, subject: Subject, say: Say) -> Row:
    """Return options of `sut.local_model.LocalModel`, or of `sut.likelihood.served.Served`. An
    adapter is for those variants that take one.
    """
    if is_address(subject.model):
        return _server(made, subject, say)
    from sut.model.find import resolve
    from sut.precision.table import TABLE

    model = resolve(subject.model, say)
    options: Row = {
        "path": model.path,
        "variant": subject.variant,
        "notes": list(model.notes),
        "device": made.device,
    }
    options |= {"device_map": made.device_map, "trust_remote_code": made.trust_remote_code}
    options["tf32"] = made.tf32
    if TABLE[subject.variant].adapter:
        options |= {
            "adapter": None if made.adapter is None else str(made.adapter),
            "merge_adapter": made.merge_adapter,
        }
    return options


def _server(made: Settings, subject: Subject, say: Say) -> Row:
    """Name the key's variable alone: what is said here is written down."""
    from sut.model.find import resolve

    url, _, name = subject.model.partition("#")
    return {
        "url": url,
        "name": name,
        "tokenizer": resolve(str(made.their_tokenizer), say).path,
        "named": made.top_k,
        "key_variable": made.api_key_env or "",
        "ca_file": str(made.ca_file or ""),
        "is_checked": not made.insecure,
    }
