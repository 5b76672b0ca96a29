"""How well does each size, each variant predict these texts? Settings in; every token's loss and a
summary out.

Each subject, a model in a variant, is scored by a process of its own (`sut.likelihood.worker`), one
after the other; one that fails is a row that says why, and the others go on. With several variants
the first is the reference, and how far the others' distributions are from its own is measured while
they are scored. Texts that are scored stay so: work that was interrupted is taken up where it
ended.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import current_thread, main_thread
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from harness.engine import environment, runlog
from harness.kernel import children
from harness.kernel.clock import utc_now
from harness.kernel.errors import BY_NAME, BadInput, HarnessError, RunBroke, SetupFailed, unknown
from harness.kernel.places import found_at, guess
from harness.kernel.protocols import Say
from harness.kernel.types import short_name
from harness.likelihood import beside as perplexity_beside
from harness.likelihood import conditions as perplexity_conditions
from harness.likelihood import scores as perplexity_scores
from harness.likelihood import summary as perplexity_summary
from harness.likelihood import texts as perplexity_texts
from harness.likelihood.texts import Wanted

DEFAULT_MODEL, DEFAULT_VARIANT = "smollm2-135m", "fp32"
_LEAVE_S = 5.0
Row = dict[str, Any]
Count = Annotated[int, Field(gt=0, le=2**31 - 1)]


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


class Settings(BaseModel):
    """What was asked for; None means the usual."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[str, ...] = (DEFAULT_MODEL,)
    variants: tuple[str, ...] = (DEFAULT_VARIANT,)
    dataset: str = "stories"
    text_column: str | None = None
    category_column: str | None = None
    split: str | None = None
    num_samples: Count | None = None
    window: Count | None = None
    stride: Count | None = None
    bos: Literal["auto", "always", "never"] = "auto"
    conditions: tuple[str, ...] = ()
    reference: str | None = None
    divergence: bool = True
    exact: bool = False
    top_k: Count | None = None
    batch_tokens: Count | None = None
    beside: tuple[Annotated[Path, AfterValidator(_absolute)], ...] = ()
    device: str = "auto"
    device_map: str | None = None
    adapter: Annotated[Path, AfterValidator(_absolute)] | None = None
    merge_adapter: bool = False
    trust_remote_code: bool = False
    in_process: bool = False
    output_dir: Path = Path("runs")

    @property
    def texts(self) -> Wanted:
        return Wanted(
            self.dataset,
            self.text_column,
            self.category_column,
            self.split,
            self.num_samples,
            self.conditions,
        )


class Subject(NamedTuple):
    """A model in a variant; `against` is the place of its reference in the series."""

    model: str
    variant: str
    folder: str
    against: int | None = None

    @property
    def label(self) -> str:
        return f"{_short(self.model)} {self.variant}"


# ---- what to measure


def settings(flags: Mapping[str, Any]) -> Settings:
    """Checked, before anything is read or loaded. Raises BadInput."""
    given = {name: value for name, value in flags.items() if value is not None}
    if "model" in given and "models" in given:
        raise BadInput(
            "perplexity",
            "both --model and --models are given",
            "expected one of them",
            "Leave one out.",
        )
    if "model" in given:
        given["models"] = given.pop("model")
    for name in ("models", "variants", "conditions", "beside"):
        if name in given:
            given[name] = _names(name, given[name])
    try:
        made = Settings(**given)
    except ValidationError as error:
        problems = [f"--{str(e['loc'][0]).replace('_', '-')}: {e['msg']}" for e in error.errors()]
        raise BadInput(
            "perplexity", "; ".join(problems), "", "See harness perplexity --help."
        ) from None
    _check(made)
    return made


def _names(flag: str, value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if not names:
        raise BadInput(
            f"--{flag}", f"{value!r} names none", "expected names separated by commas", ""
        )
    return names


def _check(made: Settings) -> None:
    from sut.model.find import check
    from sut.precision.table import TABLE

    for model in made.models:
        check(model)
    for variant in made.variants:
        if variant not in TABLE:
            raise unknown("variant", variant, TABLE, "See python -m harness list variants.")
    for condition in made.conditions:
        if condition not in perplexity_conditions.KINDS:
            known = perplexity_conditions.KINDS
            raise unknown("--conditions", condition, known, "Choose from these.")
    if made.reference is not None and made.reference not in (*made.variants, *made.models):
        raise unknown(
            "--reference",
            made.reference,
            (*made.variants, *made.models),
            "It must be one of those that are measured.",
        )
    perplexity_beside.check(made.beside)
    if made.exact and not any(subject.against is not None for subject in subjects(made)):
        raise BadInput(
            "--exact",
            "nothing is compared with a reference",
            "expected at least two variants",
            "Add some to --variants.",
        )


def subjects(made: Settings) -> list[Subject]:
    """Every model in every variant, in order, but a reference before those that are compared with
    it.
    """
    first, others = _reference(made)
    pairs = [(model, variant) for model in made.models for variant in made.variants]
    if first in pairs:  # one for all models
        pairs = [first, *(pair for pair in pairs if pair != first)]
    elif others is not None:
        pairs.sort(key=lambda pair: (made.models.index(pair[0]), pair[1] != others))
    found = []
    for i, (model, variant) in enumerate(pairs):
        against = pairs.index(first or (model, others)) if first or others else i  # type: ignore[arg-type]
        folder = f"{i:02d}_{_short(model)}_{variant}"
        found.append(
            Subject(model, variant, folder, against if against != i and made.divergence else None)
        )
    return found


def _reference(made: Settings) -> tuple[tuple[str, str] | None, str | None]:
    """(the subject that all are compared with, or the variant that each model's others are compared
    with).
    """
    if made.reference in made.models and made.reference not in made.variants:
        return (made.reference, made.variants[0]), None
    if len(made.variants) > 1:
        return None, made.reference or made.variants[0]
    return None, None


def _short(model: str) -> str:
    return short_name(model).removesuffix(".gguf")


# ---- the series


def measure(flags: Mapping[str, Any], resume: Path | None, say: Say) -> tuple[Row, Path]:
    """(the summary, its folder): a new measurement, or the rest of one."""
    if resume is not None:
        made, place = resumed(resume, flags), resume
    else:
        made = settings(flags)
        _fetch_the_only_model(made, say)
        place = begin(made, say)
    return run(place, made, say, fresh=resume is None), place


def _fetch_the_only_model(made: Settings, say: Say) -> None:
    """A model that cannot be had ends a measurement of its variants before it begins; among
    several models it is a row. Raises SetupFailed.
    """
    from sut.model.find import resolve

    models = {subject.model for subject in subjects(made)}
    if len(models) == 1:
        resolve(models.pop(), say)


def show(found: Row, place: Path, console: Any, tables: bool = True) -> None:
    """The table, and where there is more."""
    from rich.text import Text

    from reports.pages.likelihood import print_table

    print_table(found, console, tables)
    console.print(Text(f"folder: {place}", style="dim"), soft_wrap=True)
    console.print(Text(f"page:   {place / 'perplexity.html'}", style="dim"), soft_wrap=True)
    if found["status"] == "INTERRUPTED":
        console.print(
            Text(f"interrupted; go on with: python -m harness perplexity --resume {place}"),
            soft_wrap=True,
        )


def begin(made: Settings, say: Say) -> Path:
    """The folder with settings and texts. Raises BadInput if these cannot be read."""
    say(f"reading {made.dataset}")
    texts = perplexity_texts.read(made.texts)
    place = runlog.create(made.output_dir, f"{utc_now():%Y%m%dT%H%M%SZ}_perplexity")
    surroundings = environment.describe()
    notes = [*texts.notes, *environment.notes(surroundings)]
    saved = {"config": made.model_dump(mode="json"), "dataset": texts.source, "notes": notes}
    saved["started_at"] = utc_now().isoformat(timespec="seconds")
    perplexity_texts.write(texts, place / "texts.parquet")
    runlog.write_json(place / "environment.json", surroundings)
    runlog.write_json(place / "settings.json", saved)
    return place


def saved_settings(place: Path) -> Settings:
    """Of a measurement that was begun. Raises BadInput."""
    try:
        saved = json.loads((place / "settings.json").read_text(encoding="utf-8"))
        return Settings(**saved["config"])
    except (OSError, ValueError, KeyError, TypeError):
        found = "it holds no measurement of perplexity" if place.is_dir() else found_at(place)
        fine = "expected the folder of an interrupted measurement"
        raise BadInput(
            f"--resume {place}", found, fine, guess(place) or "Check the path."
        ) from None


def resumed(place: Path, flags: Mapping[str, Any]) -> Settings:
    """The settings are those of the folder; others would make another measurement of it."""
    if others := [
        f"--{name.replace('_', '-')}" for name, value in flags.items() if value is not None
    ]:
        fine = "the settings of the folder apply"
        raise BadInput(
            "perplexity",
            f"--resume is given together with {', '.join(others)}",
            fine,
            "Leave the other flags out.",
        )
    return saved_settings(place)


def run(place: Path, made: Settings, say: Say, fresh: bool = True) -> Row:
    """The summary, which is in the folder too. Ctrl-C keeps what was measured.

    Raises the error itself where it is a user's mistake and nothing was measured.
    """
    rows: list[Row] = []
    interrupted = False
    series = subjects(made)
    with _polite():
        for i, subject in enumerate(series, 1):
            row = _read_row(place, subject)
            if row.get("status") != "DONE":
                say(f"subject {i} of {len(series)}: {subject.label}")
                row, interrupted = _measured(place, made, series, subject, say)
            rows.append(row)
            if interrupted:
                break
    if fresh:
        _forget_what_never_began(place, rows, interrupted)
    say("reading the scores")
    found = perplexity_summary.build(
        place, interrupted=interrupted, not_run=[s.label for s in series[len(rows) :]]
    )
    say("")
    return found


def exit_code(found: Mapping[str, Any]) -> int:
    """0 only if every subject was measured as asked for; if none was, the code of what stopped the
    first.
    """
    if found["status"] == "INTERRUPTED":
        return 130
    rows = found["subjects"]
    if rows and all(row["status"] == "ERROR" for row in rows):
        return BY_NAME.get(rows[0]["failure"], RunBroke).exit_code
    lacking = any((row.get("divergence") or {}).get("refused") for row in rows)
    return 0 if all(row["status"] == "DONE" for row in rows) and not lacking else 1


def _forget_what_never_began(place: Path, rows: Sequence[Row], interrupted: bool) -> None:
    """No folder is left of a measurement that the user must ask for in other words, or ended before
    its first text.
    """
    if any(place.glob("*/tokens.parquet")):
        return
    if interrupted:
        shutil.rmtree(place, ignore_errors=True)
        raise KeyboardInterrupt
    if rows and all(row["failure"] == BadInput.__name__ for row in rows):
        shutil.rmtree(place, ignore_errors=True)
        raise BadInput(*rows[0]["facts"])


@contextmanager
def _polite() -> Iterator[None]:
    """A polite kill is a Ctrl-C."""
    if current_thread() is not main_thread():
        yield
        return
    old = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


# ---- one subject


def _measured(
    place: Path, made: Settings, series: Sequence[Subject], subject: Subject, say: Say
) -> tuple[Row, bool]:
    """(row, whether the user wants no more). Whatever goes wrong, what was scored is kept and the
    row says why.
    """
    folder = place / subject.folder
    folder.mkdir(exist_ok=True)
    row = _read_row(place, subject) | {
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
        with _bar(subject.label, say) as bar:
            for event in _events(job, folder, made.in_process):
                bar(event)
                _hear(event, row, folder)
        row["status"] = "DONE"
    except KeyboardInterrupt:
        interrupted, row["problem"] = True, "interrupted"
    except HarnessError as error:
        row |= {
            "status": "ERROR",
            "problem": str(error),
            "failure": type(error).__name__,
            "facts": error.facts,
        }
    row |= perplexity_scores.gather(place, folder)
    runlog.write_json(folder / "subject.json", row)
    if row["status"] == "DONE":
        shutil.rmtree(folder / "parts", ignore_errors=True)
    return row, interrupted


def _hear(event: Row, row: Row, folder: Path) -> None:
    """What the process says of the subject joins its row, which is on the disk while it works.
    Raises what it ended of.
    """
    kind = event["event"]
    if kind == "error":
        raise BY_NAME.get(event["error"], SetupFailed)(*event["facts"])
    if kind in ("checked", "loaded"):
        row |= {name: value for name, value in event.items() if name != "event"}
        runlog.write_json(folder / "subject.json", row)
    if kind == "done":
        peaks = (event["peak_above_weights_bytes"], row.get("peak_above_weights_bytes"))
        row["peak_above_weights_bytes"] = max(filter(None, peaks), default=None)


def _read_row(place: Path, subject: Subject) -> Row:
    known: Row = {
        "model": subject.model,
        "variant": subject.variant,
        "folder": subject.folder,
        "failure": "",
    }
    with suppress(OSError, ValueError):
        known |= json.loads((place / subject.folder / "subject.json").read_text(encoding="utf-8"))
    return known


def _job(place: Path, made: Settings, series: Sequence[Subject], subject: Subject, say: Say) -> Row:
    """See `sut.likelihood.worker.Job`."""
    against = series[subject.against] if subject.against is not None else None
    if against is not None and _read_row(place, against).get("status") != "DONE":
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
    """Options of `sut.local_model.LocalModel`. An adapter is for those variants that take one."""
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
    if TABLE[subject.variant].adapter:
        options |= {
            "adapter": None if made.adapter is None else str(made.adapter),
            "merge_adapter": made.merge_adapter,
        }
    return options


# ---- the process


def _events(job: Row, folder: Path, in_process: bool) -> Iterator[Row]:
    """What the scoring says of itself, line by line. Raises RunBroke if its process dies."""
    if in_process:
        from sut.likelihood.worker import Job, told

        yield from told(Job(**job))
        return
    runlog.write_json(folder / "job.json", job)
    with (folder / "worker.log").open("ab") as log, _process(folder / "job.json", log) as process:
        for line in process.stdout or ():
            yield json.loads(line)
        if code := process.wait():
            raise _death(code, folder / "worker.log")


@contextmanager
def _process(job: Path, log: Any) -> Iterator[subprocess.Popen[str]]:
    """It is gone when the block is left, however that happens; its parts are whole or not there."""
    from sut.border.threads import environment as thread_environment

    process = subprocess.Popen(
        children.command("sut.likelihood.worker", str(job)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="utf-8",
        env=children.variables(thread_environment()),
        start_new_session=True,  # Ctrl-C is ours to hear
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _death(code: int, log: Path) -> RunBroke:
    how = f"it ended with exit code {code}"
    if code < 0:
        name = signal.Signals(-code).name
        how = f"it was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    lines = log.read_text(errors="replace").strip().splitlines()
    return RunBroke(
        "the scoring process",
        how + (f", last words: {lines[-1][:300]}" if lines else ""),
        "",
        f"See {log}.",
    )


@contextmanager
def _bar(label: str, say: Say) -> Iterator[Callable[[Row], None]]:
    """Texts (each condition counts), speed so far and time left, on a terminal; lines elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    bars = Progress(
        TextColumn(label),
        BarColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
    )
    task = bars.add_task("", total=None)
    done = passages = tokens = 0

    def hear(event: Row) -> None:
        nonlocal done, passages, tokens
        if event["event"] == "checked":
            done, passages, tokens = event["kept"], event["passages"], event["tokens"]
            bars.update(task, total=tokens, description=f"{done}/{passages} texts")
        elif event["event"] == "loading":
            say(f"loading {label}" + (f", {done} of {passages} texts are kept" if done else ""))
        elif event["event"] == "loaded":
            say(f"scoring with {label}")
            if console.is_terminal:
                say("")
                bars.start()
        elif event["event"] == "scored":
            done += 1
            rate = event["tokens"] / max(event["seconds"], 1e-9)
            left_s = round((tokens - event["tokens"]) / rate)
            words = (
                f"{done}/{passages} texts, {rate:,.0f} tokens/s, {left_s // 60}:{left_s % 60:02d}"
                " left"
            )
            bars.update(task, completed=event["tokens"], description=words)

    try:
        yield hear
    finally:
        if bars.live.is_started:
            bars.stop()
