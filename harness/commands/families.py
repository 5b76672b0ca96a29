"""The command that sets the sizes, iterations and precisions of a model side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands.arguments.shared import Format, Json, Quiet
from harness.engine.pieces import noted
from harness.options.flags import a_path
from harness.screen import finish, people, put


def family(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FOLDER...",
            parser=a_path,
            help="Finished folders: runs, gates, comparisons, sweeps, decisions, measurements of "
            "perplexity, evaluations. NAME=FOLDER says what the model in it is called.",
        ),
    ] = None,
    output_dir: Annotated[
        Path, typer.Option(parser=a_path, help="Parent folder of the new folder.")
    ] = Path("runs"),
    quiet: Quiet = False,
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """Set the sizes, iterations and precisions of a model side by side: tasks, perplexity, ROUGE,
    KL, speed and size of each; who is good at what, and where perplexity and tasks disagree.
    """
    with people(as_json, form, quiet) as (console, say):
        from harness.study.family import family as families
        from reports.pages.family import page

        found, place = families.run(folders or [], output_dir, say)
        say("")
        with noted(f"table on the screen; see {place}"):
            page.show(found, place, console, tables=form == "table")
        put(form, lambda: [page.table(found)])
    finish(found, as_json, families.exit_code(found))
