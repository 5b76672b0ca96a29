"""The command that lets an evaluation tool of somebody else's judge a variant, or the answers of
finished runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands.arguments.shared import (
    Flags,
    Format,
    Json,
    Quiet,
    say_how_to_go_on,
    with_sut_options,
)
from harness.options.flags import SERVE, a_path, takes
from harness.screen import finish, people, put

_TOOL = "Tool"


@takes(SERVE)
def evaluate(
    flags: Flags,
    options: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FOLDER... | -- OPTION...",
            help="Folders of finished evaluations to set side by side; with --with, options for "
            "the tool, after --. With hf-evaluate, folders of finished accuracy runs, the first of "
            "which is the reference.",
        ),
    ] = None,
    with_: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="TOOL",
            help="Tool that evaluates: lm-eval, inspect, deepeval, evals or simple-evals; or "
            "hf-evaluate, which scores the answers of finished runs.",
            rich_help_panel=_TOOL,
        ),
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Task, in the tool's own words; several with commas. With hf-evaluate, a metric: "
            "its name or the path of its script.",
            rich_help_panel=_TOOL,
        ),
    ] = "",
    variants: Annotated[
        str | None,
        typer.Option(
            help="Variants to evaluate one after the other, such as fp32,int8; the first is the "
            "reference."
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Evaluate the server at this address, such as http://localhost:8000/v1, in place "
            "of a variant.",
        ),
    ] = None,
    tokenizer: Annotated[
        str,
        typer.Option(
            help="Tokenizer for lm-eval: a folder or a name on the hub. Default: the server's own.",
            rich_help_panel=_TOOL,
        ),
    ] = "",
    tool_python: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            parser=a_path,
            help="Python, or virtual environment, that has the tool. Default: the one that `make "
            "tools` has made, or this one.",
            rich_help_panel=_TOOL,
        ),
    ] = None,
    tool_path: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            parser=a_path,
            help="Folder of a tool that has no package (simple-evals), or with the scripts of "
            "metrics: a clone of evaluate's repository (hf-evaluate).",
            rich_help_panel=_TOOL,
        ),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Stop the tool after this, such as 30m, for each variant, or for each metric of "
            "a run. Default: never.",
            rich_help_panel=_TOOL,
        ),
    ] = None,
    max_len: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of tokens of prompt and answer together. Default: 2048, or the"
            " model's context where that is shorter.",
            min=1,
        ),
    ] = None,
    output_dir: Annotated[
        Path,
        typer.Option(parser=a_path, help="Folder that gets the results.", rich_help_panel="Output"),
    ] = Path("runs"),
    quiet: Quiet = False,
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """Let an evaluation tool of somebody else's judge a variant: serve it, start the tool, keep its
    log and its result. With hf-evaluate, score the answers of finished runs. (The reference answers
    of a dataset are scored by run --evaluate.)
    """
    with people(as_json, form, quiet) as (console, say):
        from msgspec import to_builtins

        from harness.evaluators import compared, evaluate, record, shown
        from harness.evaluators.answers.columns import kept
        from harness.evaluators.job import Asked, job
        from harness.kernel.process.streams import tell
        from reports.pages import evaluation as page

        def told(row: dict[str, Any]) -> None:
            if row["failure"]:
                tell(f"error: {row['name']}: {row['reason']}")
            else:
                console.news(page.told(row))

        if options and with_ is None:
            places = [a_path(word) for word in options]
            evaluations = [record.read(place) for place in places]
            lines = to_builtins(compared.lines(evaluations, [kept(place) for place in places]))
            apart = compared.differences(evaluations)
            found: dict[str, Any] = {"lines": lines, "differences": apart}
            table, code = shown.of_several(evaluations, lines), int(bool(apart))
            page.show(table, page.not_the_same(apart), console, form == "table")
        else:
            asked = Asked(
                with_, task, with_sut_options(flags), variants, base_url, tokenizer, tool_python,
                tool_path, timeout, max_len, output_dir, tuple(options or ()),
            )  # fmt: skip
            made, place = evaluate.measure(job(asked), say, told)
            table, code = shown.table(made), evaluate.exit_code(made)
            found = {**made, "folder": str(place)}
            shown.show(made, place, console, form == "table")
            say_how_to_go_on(made, place, console)
        put(form, lambda: [table])
    finish(found, as_json, code)
