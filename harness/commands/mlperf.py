"""Commands for MLPerf: audit a run, package it, check a tree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands.arguments.shared import (
    Json,
    SutOptions,
    TrustCode,
    TrustFolder,
    say_how_to_go_on,
    sut_options,
)
from harness.options.flags import a_path
from harness.screen import finish, people


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
    speed: Annotated[
        bool,
        typer.Option(
            "--speed",
            help="Make the run again and compare its speed, within 10 %: a system that behaves"
            " only where it is watched is slower then.",
        ),
    ] = False,
    trust_remote_code: TrustCode = False,
    trust_folder: TrustFolder = False,
    sut_option: SutOptions = None,
    as_json: Json = False,
) -> None:
    """Check a run for what MLPerf's compliance tests are meant to catch."""
    with people(as_json) as (console, say):
        from harness.kernel.foreign.consent import Consent
        from harness.mlperf.looks import examine, exit_code
        from reports.terminal import show_audit

        looks = ["caching"] * caching + ["benchmark_detection"] * detection
        looks += ["speed"] * speed
        found, place = examine(
            folder, companion or [], tokens_per_sample, looks, say,
            Consent(trust_remote_code, trust_folder), sut_options(sut_option),
        )  # fmt: skip
        show_audit(found, console)
        say_how_to_go_on(found, place, console)
    finish(found, as_json, exit_code(found))


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
        from harness.mlperf.submission import make
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
