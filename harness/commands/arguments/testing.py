"""Which options does a comparison take for its tests, and for what others read of them?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.options.flags import a_path

_TESTS, _EXPORTS = "Tests", "Exports"

Baseline = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        metavar="RUN,...",
        help="Folders of runs, separated by commas, that are repeats of one baseline; the other "
        "runs are then repeats of one candidate.",
        rich_help_panel=_TESTS,
    ),
]
FailIf = Annotated[
    str | None,
    typer.Option(
        "--fail-if",
        metavar="LIMITS",
        help="Changes from the baseline that are too large, such as 'ttft_p99>+5%, "
        "tokens_per_s<-3%': PASS, FAIL or INCONCLUSIVE, and an exit code for CI.",
        rich_help_panel=_TESTS,
    ),
]
AcrossHardware = Annotated[
    bool,
    typer.Option(
        "--across-hardware",
        help="Also test runs that were made on different hardware.",
        rich_help_panel=_TESTS,
    ),
]
AllowInconclusive = Annotated[
    bool,
    typer.Option(
        "--allow-inconclusive",
        help="End with exit code 0 where the data can neither show nor exclude a change.",
        rich_help_panel=_TESTS,
    ),
]
Junit = Annotated[
    Path | None,
    typer.Option(
        "--junit",
        metavar="FILE.xml",
        parser=a_path,
        help="Write the verdicts as JUnit XML, which CI systems show.",
        rich_help_panel=_EXPORTS,
    ),
]
CsvFile = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="FILE.csv",
        parser=a_path,
        help="Write the samples of all runs as CSV, and their figures beside it as "
        "FILE.figures.csv.",
        rich_help_panel=_EXPORTS,
    ),
]
ParquetFile = Annotated[
    Path | None,
    typer.Option(
        "--parquet",
        metavar="FILE.parquet",
        parser=a_path,
        help="Write the same as Parquet.",
        rich_help_panel=_EXPORTS,
    ),
]
GitHubSummary = Annotated[
    bool,
    typer.Option(
        "--github-summary",
        help="Add the verdict and the tables to the summary of a GitHub Actions step.",
        rich_help_panel=_EXPORTS,
    ),
]
