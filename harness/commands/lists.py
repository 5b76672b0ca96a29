"""Commands that say what there is, and what this machine can do."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.commands.arguments.shared import Format, Json
from harness.screen import finish, people, put


def list_(
    what: Annotated[
        str | None,
        typer.Argument(
            help="What to list: models, variants, scenarios, datasets, tasks, suts, metrics,"
            " rules or profiles."
        ),
    ] = None,
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """List the models, variants, scenarios, datasets, tasks, SUTs, metrics, rules, profiles."""
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


def doctor(as_json: Json = False) -> None:
    """Show what is installed, what this machine can do, and how fast the driver itself is."""
    with people(as_json) as (console, say):
        from harness.doctor import examine
        from harness.kernel.process import stopping
        from reports.terminal import show_doctor

        say("measuring the driver")
        findings = examine()
        stopping.check()  # the driver keeps what it has measured, whoever stops it
        say("")
        show_doctor(findings, console)
    finish(findings, as_json, 0)
