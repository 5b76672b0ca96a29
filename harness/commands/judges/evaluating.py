"""The command that lets an evaluation tool of somebody else's judge a variant, or the answers of
finished runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands.arguments.shared import Flags, Format, Json, Quiet, with_sut_options
from harness.options.flags import SERVE, a_path, takes
from harness.screen import finish, people, put

_TOOL = "Tool"


@takes(SERVE)
def evaluate(
    flags: Flags,
    words: Annotated[
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
        from harness.evaluators import compared, evaluate, record
        from harness.evaluators.answers.columns import kept
        from harness.evaluators.job import Asked, job
        from harness.kernel.process.streams import tell
        from reports.pages import evaluation as page

        def told(row: dict[str, Any]) -> None:
            if row["failure"]:
                tell(f"error: {row['name']}: {row['reason']}")
            else:
                console.news(page.told(row))

        if words and with_ is None:
            places = [a_path(word) for word in words]
            evaluations = [record.read(place) for place in places]
            lines = compared.lines(evaluations, [kept(place) for place in places])
            apart = compared.differences(evaluations)
            found: dict[str, Any] = {"differences": apart}
            notes, code = page.not_the_same(apart), int(bool(apart))
        else:
            asked = Asked(
                with_, task, with_sut_options(flags), variants, base_url, tokenizer, tool_python,
                tool_path, timeout, max_len, output_dir, tuple(words or ()),
            )  # fmt: skip
            made, place = evaluate.measure(job(asked), say, told)
            evaluations, code = [record.read(place)], evaluate.exit_code(made)
            lines = compared.lines(evaluations, [kept(place)])
            found, notes = {**made, "folder": str(place)}, page.doubts(made)
            notes += page.not_the_same(compared.differences(evaluations))
            notes.append(f"All of it is in {place}")
        names = dict.fromkeys(f"{one.tool} {one.version}".strip() for one in evaluations)
        found["lines"] = [line._asdict() for line in lines]
        table = page.table(lines, " · ".join(names))
        page.show(table, notes, console, form == "table")
        put(form, lambda: [table])
    finish(found, as_json, code)
