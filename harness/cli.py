"""`python -m harness COMMAND`: words in, a verdict and an exit code out.

0 valid or pass · 1 invalid or fail · 2 bad input · 3 set-up failed · 4 the run broke · 130
interrupted. With `--json` the last line of stdout is one JSON object and people's text goes to
stderr. Heavy imports wait until a command needs them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.engine.pieces import noted
from harness.options.flags import (
    COMPARE,
    GATE,
    PERPLEXITY,
    PLAN,
    REPORT,
    RUN,
    Command,
    a_path,
    takes,
)
from harness.screen import finish, people, put, show_run

app = typer.Typer(
    name="harness",
    help=(
        "Test variants of a language model against its own FP32 reference: speed under load,"
        " quality, memory, and whether the figures can be trusted."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_EXIT = {"VALID": 0, "INVALID": 1, "INTERRUPTED": 130, "ERROR": 4}

Flags = dict[str, Any]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON object as the last line of stdout.", rich_help_panel="Output"
    ),
]


Format = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="How to print the main table on stdout: table, csv or markdown.",
        rich_help_panel="Output",
    ),
]


def _show_versions(asked: bool) -> None:
    if asked:
        from harness.engine.environment import versions

        for name, version in versions().items():
            print(f"{name} {version}")
        raise typer.Exit(0)


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_show_versions,
            help="Show the versions of Touchstone, Python and the main libraries, and exit.",
        ),
    ] = False,
) -> None:
    """Own options of the program; each command has its own."""


@app.command(cls=Command)
@takes(RUN)
def run(flags: Flags, as_json: Json = False, form: Format = "table") -> None:
    """Run one scenario and judge the result."""
    with people(as_json, form) as (console, say):
        from harness.run.session import Run
        from reports import tables
        from reports.terminal import show_result

        with Run(_config(flags), say) as session:
            result = session.execute().to_json()
        show_run(show_result, result, session.folder, console, form)
        put(form, lambda: [tables.record(result)], lambda: tables.of_run(result))
    finish(result, as_json, _EXIT[result["status"]])


@app.command(cls=Command)
@takes(PLAN)
def plan(flags: Flags, as_json: Json = False, form: Format = "table") -> None:
    """Show what a run would do, without running it; --json adds the whole schedule."""
    with people(as_json, form) as (console, _):
        from dataclasses import asdict

        from harness.options.effective import effective
        from harness.run.session import forecast
        from reports import tables
        from reports.terminal import show_plan

        chosen = _config(flags)
        settings, schedule, sentences, conflicts = forecast(chosen)
        values = effective(chosen, settings)
        show_plan(
            settings, schedule, chosen.pattern, sentences, values, console, chosen.conf_files,
            conflicts, tables=form == "table",
        )  # fmt: skip
        put(form, lambda: [tables.settings(values)])
    queries = [indices for _, indices in schedule.rows()]
    value = {
        "settings": asdict(settings),
        "effective": [row._asdict() for row in values],
        "loaded_set": schedule.loaded,
        "sample_indices": (
            schedule.indices.tolist() if schedule.samples_per_query == 1 else queries
        ),
        "scheduled_ns": schedule.offsets_ns.tolist(),
        "forecast": sentences,
        "conf_files": [asdict(file) for file in chosen.conf_files],
        "conflicts": [asdict(conflict) for conflict in conflicts],
    }
    finish(value, as_json, 0)


@app.command(cls=Command)
@takes(REPORT)
def report(
    flags: Flags,
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", parser=a_path, help="Folder of the run.")
    ],
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """Rebuild the result.json and report.html of a run from its raw files."""
    with people(as_json, form) as (console, _):
        from harness.options.percentiles import percentiles_of
        from harness.run import result as results
        from reports import tables
        from reports.terminal import show_result

        asked = percentiles_of(flags["percentiles"])
        result = results.publish(folder, percentiles=asked).to_json()
        show_run(show_result, result, folder, console, form)
        put(form, lambda: [tables.record(result)], lambda: tables.of_run(result))
    finish(result, as_json, _EXIT[result["status"]])


def _say_how_to_go_on(found: dict[str, Any], place: Path, console: Any) -> None:
    """An interrupted study can go on where it was."""
    if found["interrupted"]:
        words = f"interrupted; go on with: python -m harness resume {place}"
        console.print(words, soft_wrap=True, markup=False, highlight=False)


@app.command(cls=Command)
@takes(COMPARE)
def compare(
    flags: Flags,
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN...", parser=a_path, help="Folders of finished runs to compare."
        ),
    ] = None,
    variants: Annotated[
        str | None,
        typer.Option(
            help="Variants to run and compare, such as fp32,bf16,int8; the first is the reference."
        ),
    ] = None,
    evaluate: Annotated[
        bool | None,
        typer.Option(
            "--evaluate/--no-evaluate",
            help="Also score the reference answers of the dataset (on by default).",
        ),
    ] = None,
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """Compare finished runs, or run and compare each of --variants (offline by default)."""
    with people(as_json, form) as (console, say):
        from harness.study import compare as comparing
        from reports.pages.compare import show, table, told

        series = comparing.series(runs or [], {**flags, "evaluate": evaluate}, variants)
        found, place = comparing.run(series, say, lambda row: console.print(told(row)))
        with noted(f"table on the screen; see {place}"):
            show(found, place, console, tables=form == "table")
        _say_how_to_go_on(found, place, console)
        put(form, lambda: [table(found)])
    finish(found, as_json, comparing.exit_code(found))


@app.command(cls=Command)
@takes(GATE)
def gate(
    flags: Flags,
    reference: Annotated[
        str, typer.Option(help="Reference: a variant, or the folder of a finished accuracy run.")
    ] = "fp32",
    candidates: Annotated[
        str, typer.Option(help="Variants to judge, such as bf16,int8,nf4, or run folders.")
    ] = "",
    target: Annotated[
        str,
        typer.Option(
            help="Percent of the reference to keep, or an MLPerf target such as llama2-70b-99.9."
        ),
    ] = "99.9",
    against: Annotated[
        str | None,
        typer.Option(
            help="What the answers are scored against: dataset (the default, if it has answers) or "
            "reference."
        ),
    ] = None,
    resamples: Annotated[int, typer.Option(help="Number of bootstrap resamples.")] = 10_000,
    confidence: Annotated[
        float, typer.Option(help="Confidence level of the intervals, in percent.")
    ] = 95.0,
    control: Annotated[
        bool,
        typer.Option(
            "--control/--no-control",
            help="Run the reference a second time with a different batch size, to measure noise.",
        ),
    ] = True,
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """Decide whether a variant may go live: does it keep enough of the reference's ROUGE?"""
    with people(as_json, form) as (console, say):
        from accuracy.gate.readings import Asked
        from harness.study import gate as gating
        from reports import tables
        from reports.pages.gate import show, told

        job = gating.job(
            reference, candidates, flags, Asked(target, against, resamples, confidence), control
        )
        found, place = gating.run(job, say, lambda row: console.print(told(row)))
        with noted(f"table on the screen; see {place}"):
            show(found, place, console, tables=form == "table")
        _say_how_to_go_on(found, place, console)
        put(form, lambda: [tables.of_gate(found)])
    finish(found, as_json, gating.exit_code(found))


@app.command(cls=Command)
def resume(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", parser=a_path, help="Folder of a comparison, a gate or a study."
        ),
    ],
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """Go on with a comparison, a gate or a perplexity measurement that was interrupted."""
    with people(as_json, form) as (console, say):
        from harness.study import resume as resuming

        kind, study = resuming.what(folder)
        found, place = kind.go_on(study, say, lambda row: console.print(kind.told(row)))
        with noted(f"table on the screen; see {place}"):
            kind.show(found, place, console, form == "table")
        if kind.says_how_to_go_on:
            _say_how_to_go_on(found, place, console)
        put(form, lambda: [kind.table(found)])
    finish(found, as_json, kind.exit_code(found))


@app.command(cls=Command)
@takes(PERPLEXITY)
def perplexity(
    flags: Flags,
    models: Annotated[
        str | None, typer.Option(help="Models to measure side by side, such as small,large.")
    ] = None,
    variants: Annotated[
        str | None,
        typer.Option(help="Variants of each model, such as fp32,int8; the first is the reference."),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column that holds the texts. Default: text.")
    ] = None,
    category_column: Annotated[
        str | None, typer.Option(help="Column to group the texts by. Default: category.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Use only rows with this value in the column split.")
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of tokens scored together. Default: the model's context."
        ),
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="Stride of the sliding window over longer texts, in tokens.")
    ] = None,
    bos: Annotated[
        str | None,
        typer.Option(
            help="Start token before each text: auto (as the tokenizer does), always or never."
        ),
    ] = None,
    conditions: Annotated[
        str | None,
        typer.Option(
            help="Also score with context. sentences: the tokens after the third sentence, given"
            " nothing and the last 1, 2 and 3 sentences right before them. instructions: the text"
            " after the instruction in its column vague, specific or paraphrased (see"
            " docs/perplexity.md). Or both, with a comma."
        ),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Variant or model that the others are compared with.")
    ] = None,
    divergence: Annotated[
        bool | None,
        typer.Option(
            "--divergence/--no-divergence",
            help="Measure the KL divergence of each variant from the reference.",
        ),
    ] = None,
    exact: Annotated[
        bool | None,
        typer.Option(
            "--exact", help="Compare full distributions, with both models in memory at once."
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(help="Number of most likely tokens kept of each distribution. Default: 512."),
    ] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(help="Maximum number of tokens in a batch, padding included.")
    ] = None,
    beside: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDERS",
            help="Folders of runs, comparisons or gates whose ROUGE and speed to show alongside.",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", parser=a_path, help="Resume an interrupted measurement."),
    ] = None,
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """Measure how well each model and variant predicts given texts, token by token."""
    own = {
        "models": models, "variants": variants, "text_column": text_column,
        "category_column": category_column, "split": split, "window": window, "stride": stride,
        "bos": bos, "conditions": conditions, "reference": reference, "divergence": divergence,
        "exact": exact, "top_k": top_k, "batch_tokens": batch_tokens, "beside": beside,
    }  # fmt: skip
    with people(as_json, form) as (console, say):
        from harness.likelihood import study as laboratory
        from reports.pages.likelihood import table

        found, place = laboratory.measure({**flags, **own}, resume, say)
        with noted(f"table on the screen; see {place}"):
            laboratory.show(found, place, console, tables=form == "table")
        put(form, lambda: [table(found)])
    finish(found, as_json, laboratory.exit_code(found))


@app.command(cls=Command)
def audit(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", parser=a_path, help="Folder of the run to audit.")
    ],
    companion: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            metavar="RUN2",
            parser=a_path,
            help="Companion run of the same model and data: an accuracy run, one with --issue"
            " same, or a single-stream run.",
        ),
    ] = None,
    tokens_per_sample: Annotated[
        float | None, typer.Option(help="Reference answer length in tokens, for TEST09.")
    ] = None,
    caching: Annotated[
        bool,
        typer.Option(
            "--caching",
            help="Make a further run to detect cached answers: repeated against distinct prompts.",
        ),
    ] = False,
    detection: Annotated[
        bool,
        typer.Option(
            "--benchmark-detection",
            help="Make a further run to detect recognised questions: known against reworded ones.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check a run for what MLPerf's compliance tests are meant to catch."""
    with people(as_json) as (console, say):
        from harness.study import second_look
        from harness.study.audit import audit as examine
        from reports.terminal import show_audit

        looks = [second_look.caching] * caching + [second_look.benchmark_detection] * detection
        more = [verdict for look in looks for verdict in look(folder, say)]
        found = examine(folder, companion or [], tokens_per_sample, more)
        show_audit(found, console)
    finish(found, as_json, 0 if found["status"] == "PASS" else 1)


@app.command(cls=Command)
def package(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="Folder of a run in submission mode, or of a performance run."
        ),
    ],
    submitter: Annotated[str, typer.Option(help="Name of the submitter, used as a folder name.")],
    system: Annotated[str, typer.Option(help="Name of the system, used as a folder name.")],
    accuracy_run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN2",
            parser=a_path,
            help="Folder of the accuracy run, if RUN does not contain one.",
        ),
    ] = None,
    compliance: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN3",
            parser=a_path,
            help="A run made with an official audit.config (TEST06, TEST07, TEST09); repeatable.",
        ),
    ] = None,
    system_json: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=a_path,
            help="JSON file with what the run cannot know: cooling, topologies, and so on.",
        ),
    ] = None,
    division: Annotated[str, typer.Option(help="MLPerf division: open or closed.")] = "open",
    benchmark: Annotated[
        str | None, typer.Option(help="MLPerf's name of the benchmark. Default: the profile's.")
    ] = None,
    round_: Annotated[
        str | None,
        typer.Option(
            "--round", help="MLPerf round: v6.0 or v6.1. Default: the one of the run's seeds."
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(metavar="FOLDER", parser=a_path, help="Root folder of the submission tree."),
    ] = Path("submission"),
    allow_invalid: Annotated[
        bool, typer.Option("--allow-invalid", help="Package the run even if it is INVALID.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Build an MLPerf Inference submission tree from a run, and check it against the rules."""
    with people(as_json) as (console, _):
        from harness.study.submission import make
        from reports.terminal import show_package

        made = make(
            folder,
            output,
            submitter,
            system,
            accuracy_run=accuracy_run,
            compliance=compliance or [],
            system_json=system_json,
            division=division,
            benchmark=benchmark,
            version=round_,
            allow_invalid=allow_invalid,
        )
        problems = [str(problem) for problem in made.problems]
        show_package(made.place, problems, made.notes, console)
    value = {
        "root": str(made.root),
        "place": str(made.place),
        "problems": problems,
        "notes": made.notes,
    }
    finish(value, as_json, 1 if problems else 0)


@app.command(cls=Command)
def check(
    root: Annotated[
        Path, typer.Argument(metavar="ROOT", parser=a_path, help="Root of a submission tree.")
    ],
    round_: Annotated[str, typer.Option("--round", help="MLPerf round: v6.0 or v6.1.")] = "v6.1",
    as_json: Json = False,
) -> None:
    """Check a submission tree, as the official checker does and beyond it."""
    with people(as_json) as (console, _):
        from reports.submission.tree import check_folder
        from reports.terminal import show_package

        problems = [str(problem) for problem in check_folder(root, round_)]
        show_package(root, problems, [], console)
    finish({"root": str(root), "problems": problems}, as_json, 1 if problems else 0)


@app.command(name="list", cls=Command)
def list_(
    what: Annotated[
        str | None,
        typer.Argument(
            help="What to list: models, variants, scenarios, datasets, suts or profiles."
        ),
    ] = None,
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """List the available models, variants, scenarios, datasets, SUTs and profiles."""
    with people(as_json, form) as (console, _):
        from harness.kernel.errors import unknown
        from harness.registry import LISTS
        from reports import tables
        from reports.blocks import screen

        if what is not None and what not in LISTS:
            raise unknown("list", what, LISTS, "Choose one of these.")
        found = {name: dict(rows()) for name, rows in LISTS.items() if what in (None, name)}
        for table in tables.lists(found) if form == "table" else ():
            console.print(screen(table))
        put(form, lambda: tables.lists(found))
    finish(found, as_json, 0)


@app.command(cls=Command)
def doctor(as_json: Json = False) -> None:
    """Show what is installed, what this machine can do, and how fast the driver itself is."""
    with people(as_json) as (console, say):
        from harness.doctor import examine
        from reports.terminal import show_doctor

        say("measuring the driver")
        findings = examine()
        say("")
        show_doctor(findings, console)
    finish(findings, as_json, 0)


def main() -> None:
    """Console script: every error of ours is a sentence and an exit code, never a traceback."""
    app()


def _config(flags: Flags) -> Any:
    """The flags of a command as checked settings."""
    from harness.options.settings import load_config

    file = flags.pop("config")
    options = flags.pop("sut_option", None)
    if options:
        flags["sut_options"] = dict(_key_value(text) for text in options)
    return load_config(flags, file)


def _key_value(text: str) -> tuple[str, str | int | float]:
    from harness.kernel.errors import BadInput

    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise BadInput(
            "--sut-option",
            repr(text),
            "KEY=VALUE would be fine",
            "For example: --sut-option ttft_ms=200.",
        )
    for kind in (int, float):
        try:
            return key, kind(value)
        except ValueError:
            continue
    return key, value
