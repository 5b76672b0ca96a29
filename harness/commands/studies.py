"""Commands that set several runs side by side, and the one that goes on with them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from accuracy.gate.offers import in_words
from harness.commands.arguments.executing import Executor, RayAddress, RayCpus, executor_of
from harness.commands.arguments.prices import PricePerHour
from harness.commands.arguments.shared import (
    Flags,
    Format,
    Json,
    Quiet,
    SutOptions,
    TrustCode,
    TrustFolder,
    say_how_to_go_on,
    sut_options,
    with_sut_options,
)
from harness.commands.arguments.testing import (
    AcrossHardware,
    AllowInconclusive,
    Baseline,
    CsvFile,
    FailIf,
    GitHubSummary,
    Junit,
    ParquetFile,
)
from harness.engine.pieces import noted
from harness.options.flags import COMPARE, GATE, LISTS, a_path, takes
from harness.screen import finish, people, put


@takes(COMPARE, LISTS)
def compare(
    flags: Flags,
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN...",
            parser=a_path,
            help="Folders of finished runs to compare, and of perplexity measurements beside them.",
        ),
    ] = None,
    variants: Annotated[
        str | None,
        typer.Option(
            help="What to run and compare: variants such as fp32,bf16,int8, servers to be started "
            "such as vllm:bf16, addresses such as http://host:8000 (or http://host:8000#NAME). The "
            "first is the reference."
        ),
    ] = None,
    evaluate: Annotated[
        bool | None,
        typer.Option(
            "--evaluate/--no-evaluate",
            help="Also score the reference answers of the dataset (on by default).",
        ),
    ] = None,
    executor: Executor = "here",
    baseline: Baseline = None,
    fail_if: FailIf = None,
    across_hardware: AcrossHardware = False,
    allow_inconclusive: AllowInconclusive = False,
    junit: Junit = None,
    csv: CsvFile = None,
    parquet: ParquetFile = None,
    github_summary: GitHubSummary = False,
    price_per_hour: PricePerHour = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Columns of a model card's table of results, such as disk_bytes,perplexity,"
            "tokens_per_s: one row per variant, in place of the whole table.",
            rich_help_panel="Output",
        ),
    ] = None,
    ray_address: RayAddress = "",
    ray_cpus: RayCpus = 0,
    quiet: Quiet = False,
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """Compare finished runs, or run and compare each of --variants (offline by default).

    Numbers and choices may be lists, such as --max-concurrency 8,32: all combinations are run.
    """
    with people(as_json, form, quiet) as (console, say):
        from harness.study.comparison import compare as comparing
        from harness.study.comparison import testing
        from harness.study.exports import wanted as exports
        from reports.pages.compare import show, told
        from reports.pages.comparison.card import card, columns_of
        from reports.pages.comparison.columns import table

        names = columns_of(columns)
        given = {**with_sut_options(flags), "evaluate": evaluate}
        wanted = exports.Wanted(junit, csv, parquet, exports.summary_file(github_summary))
        exports.check(wanted)
        asked, folders = testing.asked(
            baseline, runs or [], fail_if, across_hardware, allow_inconclusive, price_per_hour
        )
        series = comparing.series(folders, given, variants, asked)
        series = series._replace(executor=executor_of(executor, ray_address, ray_cpus))
        found, place = comparing.run(series, say, lambda row: console.news(told(row)))
        exports.write(found, wanted, say)
        chosen = card(found, names) if names else None
        with noted(f"table on the screen; see {place}"):
            show(found, place, console, form == "table", chosen)
        say_how_to_go_on(found, place, console)
        put(form, lambda: [chosen or table(found)])
    finish(found, as_json, comparing.exit_code(found))


@takes(GATE)
def gate(
    flags: Flags,
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN...",
            parser=a_path,
            help="Folders of finished accuracy runs, on one task or several: those of --reference "
            "are held against the others. What is no accuracy run is left out, and named.",
        ),
    ] = None,
    reference: Annotated[
        str,
        typer.Option(
            help="Reference: a variant, or the folders of its finished accuracy runs, one for each "
            "task."
        ),
    ] = "fp32",
    candidates: Annotated[
        str,
        typer.Option(
            help="Deployments to judge: variants such as bf16,int8, servers to be started such as "
            "vllm:bf16, addresses such as http://host:8000 (or http://host:8000#NAME), or run "
            "folders."
        ),
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
    metric: Annotated[str | None, typer.Option(help=in_words())] = None,
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
    executor: Executor = "here",
    ray_address: RayAddress = "",
    ray_cpus: RayCpus = 0,
    quiet: Quiet = False,
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """Decide whether a variant or a server may go live: does it keep enough of the reference's
    ROUGE, or, with --task NAME:FILE,NAME,..., still solve what the reference solves?
    """
    with people(as_json, form, quiet) as (console, say):
        from accuracy.gate.readings import Criteria
        from harness.study.gating import gate as gating
        from harness.study.gating.job import job as gate_job
        from reports import tables
        from reports.pages.gate import show, told

        asked = Criteria(target, against, resamples, confidence, metric)
        job = gate_job(reference, candidates, flags, asked, control, runs or [])
        job = job._replace(executor=executor_of(executor, ray_address, ray_cpus))
        found, place = gating.run(job, say, lambda row: console.news(told(row)))
        with noted(f"table on the screen; see {place}"):
            show(found, place, console, tables=form == "table")
        say_how_to_go_on(found, place, console)
        put(form, lambda: [tables.of_gate(found)])
    finish(found, as_json, gating.exit_code(found))


def resume(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", parser=a_path, help="Folder of what was interrupted."),
    ],
    trust_remote_code: TrustCode = False,
    trust_folder: TrustFolder = False,
    sut_option: SutOptions = None,
    executor: Executor = "",
    ray_address: RayAddress = "",
    ray_cpus: RayCpus = 0,
    quiet: Quiet = False,
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """Go on with a comparison, a sweep, a gate, a decision, a find-peak search, a submission, an
    audit, a perplexity measurement or an evaluation that was interrupted.
    """
    with people(as_json, form, quiet) as (console, say):
        from harness.commands import kinds
        from harness.kernel.foreign.consent import Consent

        consent = Consent(trust_remote_code, trust_folder)
        kind, study = kinds.what(folder, consent, sut_options(sut_option))
        if executor:
            kinds.move(study, executor_of(executor, ray_address, ray_cpus))
        found, place = kind.go_on(study, say, lambda row: console.news(kind.told(row)))
        with noted(f"table on the screen; see {place}"):
            kind.show(found, place, console, form == "table")
        say_how_to_go_on(found, folder, console)
        put(form, lambda: [kind.table(found)])
    finish(found, as_json, kind.exit_code(found))
