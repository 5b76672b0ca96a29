"""Commands for one run: make it, foresee it, show it again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands.arguments.shared import (
    Flags,
    Format,
    Json,
    Quiet,
    configured,
    say_how_to_go_on,
)
from harness.kernel.errors import EXIT
from harness.options.flags import PLAN, REPORT, RUN, a_path, takes
from harness.screen import finish, people, put, show_run


@takes(RUN)
def run(flags: Flags, quiet: Quiet = False, as_json: Json = False, form: Format = "table") -> None:
    """Run one scenario and judge the result."""
    with people(as_json, form, quiet) as (console, say):
        from harness.study import parts
        from reports import tables
        from reports.terminal import show_result

        result, folder, study = parts.run(configured(flags), say)
        show_run(show_result, result, folder, console, form)
        if study is not None:
            say_how_to_go_on(result, study, console)
        put(form, lambda: [tables.record(result)], lambda: tables.of_run(result))
    finish(result, as_json, EXIT[result["status"]])


@takes(PLAN)
def plan(flags: Flags, as_json: Json = False, form: Format = "table") -> None:
    """Show what a run would do, without running it; --json adds the whole schedule."""
    with people(as_json, form) as (console, _):
        from dataclasses import asdict

        from harness.options.effective import effective
        from harness.running.forecast import forecast
        from reports import tables
        from reports.terminal import show_plan

        chosen = configured(flags)
        settings, schedule, sentences, conflicts = forecast(chosen)
        values = effective(chosen, settings)
        show_plan(
            settings, schedule, chosen.pattern, sentences, values, console, chosen.conf_files,
            conflicts, tables=form == "table",
        )  # fmt: skip
        put(form, lambda: [tables.settings(row._asdict() for row in values)])
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
        from harness.options.lists.percentiles import percentiles_of
        from harness.result.publish import publish
        from harness.running.recover import recover
        from reports import tables
        from reports.terminal import show_result

        recover(folder)
        asked = percentiles_of(flags["percentiles"])
        result = publish(folder, percentiles=asked).to_json()
        show_run(show_result, result, folder, console, form)
        put(form, lambda: [tables.record(result)], lambda: tables.of_run(result))
    finish(result, as_json, EXIT[result["status"]])
