"""How well does each size, each variant predict these texts? Settings in; every token's loss and a
summary out.

Each subject, a model in a variant, is scored by a process of its own (`sut.likelihood.worker`), one
after the other; one that fails is a row that says why, and the others go on. With several variants
the first is the reference, and how far the others' distributions are from its own is measured while
they are scored. Texts that are scored stay so: work that was interrupted is taken up where it
ended.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.engine import environment, runlog
from harness.kernel import files
from harness.kernel.clock import utc_now
from harness.kernel.errors import BY_NAME, BadInput, RunBroke
from harness.kernel.foreign import parsed
from harness.kernel.foreign.consent import Consent, remember, require
from harness.kernel.foreign.own_files import check_folder
from harness.kernel.foreign.tables import read_table
from harness.kernel.places import found_at, guess
from harness.kernel.process import board
from harness.kernel.protocols import Say
from harness.likelihood import summary as perplexity_summary
from harness.likelihood import texts as perplexity_texts
from harness.likelihood.scores import is_kept
from harness.likelihood.settings import Settings, Subject, server_of, settings, subjects, wishes
from harness.likelihood.subject import measured, read_row
from harness.live.tally import Tally

Row = dict[str, Any]
_CONSENT = "trust_remote_code"  # the one flag that --resume takes
_ONE_BY_ONE = ("here", "child")  # each subject is scored by a process of its own in any case


def measure(
    flags: Mapping[str, Any], resume: Path | None, say: Say, trust_folder: bool = False
) -> tuple[Row, Path]:
    """Make a new measurement, or the rest of one; return the summary and its folder. Raises
    BadInput, without consent to what the folder of the rest names too.
    """
    if resume is not None:
        made, place = resumed(resume, flags, trust_folder), resume
    elif trust_folder:
        raise BadInput("--trust-folder", "no --resume FOLDER is given", "it is for such a folder")
    else:
        made = settings(flags)
        _fetch_the_only_model(made, say)
        _ask_the_servers(made, say)
        place = begin(made, say)
    return run(place, made, say, fresh=resume is None), place


def _fetch_the_only_model(made: Settings, say: Say) -> None:
    """Fetch the model if there is one: if it cannot be had, a measurement of its variants ends
    before it begins. Among several models it is a row. Raises SetupFailed.
    """
    from sut.model.find import resolve

    if len(made.models) == 1:
        resolve(made.local[0] if made.local else str(made.their_tokenizer), say)


def _ask_the_servers(made: Settings, say: Say) -> None:
    """Ask each for its model: one that is not there, or has another, ends a measurement before it
    begins. Raises SetupFailed.
    """
    from sut.served.likelihood import ask_model

    for model in made.served:
        say(f"asking {model}")
        ask_model(*server_of(made, model))


def show(found: Row, place: Path, console: Any, tables: bool = True) -> None:
    """Print the table, and where there is more."""
    from rich.text import Text

    from reports.pages.likelihood.screen import print_table

    print_table(found, console, tables)
    console.print(Text(f"folder: {place}", style="dim"), soft_wrap=True)
    console.print(Text(f"page:   {place / 'perplexity.html'}", style="dim"), soft_wrap=True)


def begin(made: Settings, say: Say) -> Path:
    """Make the folder with settings and texts. Raises BadInput if these cannot be read."""
    say(f"reading {made.dataset}")
    texts = perplexity_texts.read(made.texts)
    place = runlog.create(made.output_dir, f"{utc_now():%Y%m%dT%H%M%SZ}_perplexity")
    surroundings = environment.describe()
    notes = [*texts.notes, *environment.notes(surroundings)]
    saved = {"config": made.model_dump(mode="json"), "dataset": texts.source, "notes": notes}
    saved["started_at"] = utc_now().isoformat(timespec="seconds")
    perplexity_texts.write(texts, place / "texts.parquet")
    files.write_json(place / "environment.json", surroundings)
    files.write_json(place / "settings.json", saved)
    remember(place / "settings.json")
    return place


def saved_settings(place: Path) -> Settings:
    """Read the settings of a measurement that was begun. Raises BadInput."""
    try:
        saved = parsed.read_json(place / "settings.json")
        return Settings(**saved["config"])
    except (OSError, ValueError, KeyError, TypeError):
        found = "it holds no measurement of perplexity" if place.is_dir() else found_at(place)
        if (place / "settings.json").is_file():
            found = "its settings.json is damaged, or of something else"
        fine = "expected the folder of an interrupted measurement"
        raise BadInput(
            f"--resume {place}", found, fine, guess(place) or "Check the path."
        ) from None


def resumed(place: Path, flags: Mapping[str, Any], trust_folder: bool = False) -> Settings:
    """Take the settings of the folder; others would make another measurement of it."""
    given = [name for name, value in flags.items() if value is not None and name != _CONSENT]
    if others := [f"--{name.replace('_', '-')}" for name in given]:
        fine = "the settings of the folder apply"
        raise BadInput(
            "perplexity",
            f"--resume is given together with {', '.join(others)}",
            fine,
            "Leave the other flags out.",
        )
    check_folder(place, hard_links=False)
    made, consent = saved_settings(place), Consent(bool(flags.get(_CONSENT)), trust_folder)
    require(f"resuming {place}", place / "settings.json", wishes(made), consent)
    return made


def run(place: Path, made: Settings, say: Say, fresh: bool = True) -> Row:
    """Score what is left and return the summary, which is in the folder too. Ctrl-C keeps what was
    measured.

    Raises the error itself where it is a user's mistake and nothing was measured.
    """
    _check_texts(place)
    series = subjects(made)
    rows, interrupted = _all_scored(place, made, say)
    if fresh and not interrupted:
        _forget_what_never_began(place, rows)
    say("reading the scores")
    not_run = [] if len(rows) == len(series) else _not_run(series, rows)
    found = perplexity_summary.build(place, interrupted=interrupted, not_run=not_run)
    say("")
    return found


def _all_scored(place: Path, made: Settings, say: Say) -> tuple[list[Row], bool]:
    """Return a row for each subject that was scored, and whether the user wants no more."""
    if made.executor.partition(":")[0] in _ONE_BY_ONE:
        return scored(place, made, say)
    from harness.likelihood.spread import spread

    return spread(place, made, say)


def _not_run(series: Sequence[Subject], rows: Sequence[Row]) -> list[str]:
    known = {row["folder"] for row in rows}
    return [subject.label for subject in series if subject.folder not in known]


def scored(
    place: Path, made: Settings, say: Say, only: Collection[str] = ()
) -> tuple[list[Row], bool]:
    """Score the subjects one after the other, all or those whose folders are given; return their
    rows, and whether the user wants no more.
    """
    series = subjects(made)
    wanted = [subject for subject in series if not only or subject.folder in only]
    rows: list[Row] = []
    with board.clean():
        tally = Tally("perplexity", len(wanted))
        for i, subject in enumerate(wanted, 1):
            row, interrupted = read_row(place, subject), False
            if not is_kept(place / subject.folder, row, _is_needed(place, made, series, subject)):
                tally.began(subject.label)
                say(f"subject {i} of {len(wanted)}: {subject.label}")
                row, interrupted = measured(place, made, series, subject, say)
            tally.ended(subject.label, row["status"] == "ERROR")
            rows.append(row)
            if interrupted:
                return rows, True
    return rows, False


def _check_texts(place: Path) -> None:
    """Raise BadInput if the texts cannot be read: what was scored means nothing without them."""
    import pyarrow as pa

    try:
        read_table(place / "texts.parquet")
    except (OSError, pa.ArrowException):
        fine, todo = "expected it as the measurement wrote it", "Restore the file, or begin again."
        raise BadInput(f"reading {place / 'texts.parquet'}", "it is damaged", fine, todo) from None


def _is_needed(place: Path, made: Settings, series: Sequence[Subject], subject: Subject) -> bool:
    """Say whether a subject that is not measured yet is compared with the distributions of this."""
    others = [o for o in series if o.against is not None and series[o.against] == subject]
    return not made.exact and any(read_row(place, o).get("status") != "DONE" for o in others)


def exit_code(found: Mapping[str, Any]) -> int:
    """Return 0 only if every subject was measured as asked for; if none was, the code of what
    stopped the first.
    """
    if found["status"] == "INTERRUPTED":
        return 130
    rows = found["subjects"]
    if rows and all(row["status"] == "ERROR" for row in rows):
        return BY_NAME.get(rows[0]["failure"], RunBroke).exit_code
    lacking = any((row.get("divergence") or {}).get("refused") for row in rows)
    return 0 if all(row["status"] == "DONE" for row in rows) and not lacking else 1


def _forget_what_never_began(place: Path, rows: Sequence[Row]) -> None:
    """Leave no folder of a measurement that the user must ask for in other words."""
    if any(place.glob("*/tokens.parquet")):
        return
    if rows and all(row["failure"] == BadInput.__name__ for row in rows):
        shutil.rmtree(place, ignore_errors=True)
        raise BadInput(*rows[0]["facts"])
