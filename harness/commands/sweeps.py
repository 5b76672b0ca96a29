"""The command that measures a grid of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands.arguments.executing import Executor, RayAddress, RayCpus, executor_of
from harness.commands.arguments.shared import (
    Flags,
    Format,
    Json,
    Quiet,
    say_how_to_go_on,
    with_sut_options,
)
from harness.engine.pieces import noted
from harness.options.flags import LISTS, SWEEP, a_path, takes
from harness.screen import finish, people, put

_PANEL = "Sweep"


@takes(SWEEP, LISTS)
def sweep(
    flags: Flags,
    plan: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            parser=a_path,
            help="Plan: sections [fixed], [sweep], [zip], [study]. Flags take precedence.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    zipped: Annotated[
        bool,
        typer.Option(
            "--zip",
            help="Take the lists together, value by value, instead of every combination.",
            rich_help_panel=_PANEL,
        ),
    ] = False,
    repeats: Annotated[
        int | None,
        typer.Option(
            help="How often to run each combination: in rounds, each in an order of its own. "
            "Default: 1.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    order_seed: Annotated[
        int | None,
        typer.Option(
            help="Random seed of the order of the runs with --repeats. Default: 1.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    evaluate: Annotated[
        bool | None,
        typer.Option(
            "--evaluate/--no-evaluate",
            help="Also score the reference answers of the dataset (off by default).",
        ),
    ] = None,
    executor: Executor = "here",
    ray_address: RayAddress = "",
    ray_cpus: RayCpus = 0,
    quiet: Quiet = False,
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """Measure every combination of settings: rates, batch sizes, variants, models, devices.

    Lists and ranges are written 1,2,4..64 or 1..128*2 or 5..50+5. A combination that cannot be
    measured is a row that says why.
    """
    with people(as_json, form, quiet) as (console, say):
        from harness.study.sweep import plan as planning
        from harness.study.sweep import sweep as sweeping
        from reports.pages.sweep.page import show, table, told

        where = executor_of(executor, ray_address, ray_cpus)
        given = {**with_sut_options(flags), "evaluate": evaluate}
        asked = planning.plan_of(given, plan, zipped, repeats, order_seed)
        found, place = sweeping.run(asked, where, say, lambda run: console.news(told(run)))
        with noted(f"table on the screen; see {place}"):
            show(found, place, console, tables=form == "table")
        say_how_to_go_on(found, place, console)
        put(form, lambda: [table(found)])
    finish(found, as_json, sweeping.exit_code(found))
