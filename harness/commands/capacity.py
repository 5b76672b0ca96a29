"""Commands that ask finished runs for more than they were measured for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands.arguments.shared import Flags, Format, Json
from harness.options.flags import WHATIF, a_path, takes
from harness.screen import finish, people, put


@takes(WHATIF)
def whatif(
    flags: Flags,
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", parser=a_path, help="Folders of finished runs."),
    ],
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """Judge finished runs under other limits, without running anything again."""
    with people(as_json, form) as (console, _):
        from harness.result.capacity import whatif as asking
        from reports.parts import whatif as shown

        found = asking.what_if(runs, asking.asked(flags))
        shown.show(found, console, with_tables=form == "table")
        put(form, lambda: [shown.limits(found)], lambda: shown.tables(found))
    finish(found, as_json, asking.exit_code(found))
