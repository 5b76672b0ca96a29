"""The command that has models judge the answers of finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands.arguments.shared import Format, Json, Quiet
from harness.engine.pieces import noted
from harness.options.flags import a_path
from harness.screen import finish, people, put

_JUDGE = "Judge"


def judge(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN...",
            parser=a_path,
            help="Folders of finished accuracy runs; the first is the reference.",
        ),
    ] = None,
    judges: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            metavar="JUDGE",
            help="Who judges: a server's address, http://host:8000#MODEL, or local:MODEL@VARIANT, "
            "which is served here meanwhile. Given twice, the judges are compared.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="How to judge: pairs (candidate against reference, in both orders), scores (1 to "
            "10 beside the dataset's answer) or both. Default: pairs, or scores for one run.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--judge-limit",
            metavar="N",
            help="Maximum number of questions to judge, drawn by chance. Default: all.",
            min=1,
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    concurrency: Annotated[
        int,
        typer.Option(
            "--judge-concurrency",
            help="Maximum number of requests open at each judge.",
            min=1,
            max=256,
            rich_help_panel=_JUDGE,
        ),
    ] = 4,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--judge-timeout",
            metavar="SECONDS",
            help="Time limit of one request, in seconds.",
            min=0.1,
            max=3600,
            rich_help_panel=_JUDGE,
        ),
    ] = 120.0,
    tokens: Annotated[
        int,
        typer.Option(
            "--judge-tokens",
            metavar="N",
            help="Maximum number of tokens of a judge's answer.",
            min=1,
            rich_help_panel=_JUDGE,
        ),
    ] = 512,
    form_of_reply: Annotated[
        str,
        typer.Option(
            "--judge-format",
            metavar="FORM",
            help="What a judge replies: text (reasons, then its verdict), or choice (the verdict "
            "alone, which the server holds it to by a JSON schema: small judges can do that).",
            rich_help_panel=_JUDGE,
        ),
    ] = "text",
    price: Annotated[
        list[str] | None,
        typer.Option(
            "--judge-price",
            metavar="IN,OUT",
            help="US dollars per million tokens of prompts and of answers; one for all judges, or "
            "given once for each.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    api_key_env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Environment variable that holds the API key; one for all judges, or given once "
            "for each. Default: TOUCHSTONE_API_KEY, else OPENAI_API_KEY.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    print_prompt: Annotated[
        bool,
        typer.Option(
            "--print-prompt",
            help="Print what would be asked first, word for word, and ask nothing.",
            rich_help_panel=_JUDGE,
        ),
    ] = False,
    output_dir: Annotated[
        Path, typer.Option(parser=a_path, help="Parent folder of the new folder.")
    ] = Path("runs"),
    quiet: Quiet = False,
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """Have a language model judge the answers of finished runs: which of two is better, or how good
    each is. Says how far the judge agrees with itself, and what it cost.
    """
    with people(as_json, form, quiet) as (console, say):
        from harness.judging import judge as judging
        from harness.judging import settings
        from reports.pages import judge as page

        folders = list(runs or [])
        names = list(judges or [])
        asked = settings.Asked(
            judges=settings.named(names, api_key_env or ()) if not print_prompt else (),
            by=settings.by(by, len(folders) if folders else 2),
            limit=limit,
            concurrency=concurrency,
            timeout_s=timeout_s,
            tokens=tokens,
            prices=settings.prices(price or (), len(names)),
            output_dir=output_dir,
            form=settings.form(form_of_reply),
        )
        if print_prompt:
            typer.echo(judging.shown_prompts(folders, asked))
            raise typer.Exit(0)
        settings.check_runs(folders)
        found, place = judging.run(folders, asked, say)
        with noted(f"table on the screen; see {place}"):
            page.show(found, place, console, tables=form == "table")
        put(form, lambda: [page.table(found)])
    finish(found, as_json, judging.exit_code(found))
