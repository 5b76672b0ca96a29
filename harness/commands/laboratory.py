"""The command of the perplexity laboratory."""

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
    TrustFolder,
    say_how_to_go_on,
)
from harness.engine.pieces import noted
from harness.options.flags import PERPLEXITY, a_path, takes
from harness.screen import finish, people, put


@takes(PERPLEXITY)
def perplexity(
    flags: Flags,
    models: Annotated[
        str | None,
        typer.Option(
            help="Models to measure side by side, such as small,large or http://host:8000, a "
            "server's address. One of its models: http://host:8000#NAME."
        ),
    ] = None,
    variants: Annotated[
        str | None,
        typer.Option(help="Variants of each model, such as fp32,int8; the first is the reference."),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column that holds the texts. Default: text.")
    ] = None,
    category_column: Annotated[
        str | None, typer.Option(help="Column to group the texts by. Default: category.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Use only rows with this value in the column split.")
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of tokens scored together. Default: the model's context."
        ),
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="Stride of the sliding window over longer texts, in tokens.")
    ] = None,
    bos: Annotated[
        str | None,
        typer.Option(
            help="Start token before each text: auto (as the tokenizer does), always or never."
        ),
    ] = None,
    conditions: Annotated[
        str | None,
        typer.Option(
            help="Also score with context. sentences: the tokens after the third sentence, given"
            " nothing and the last 1, 2 and 3 sentences right before them. instructions: the text"
            " after the instruction in its column vague, specific or paraphrased (see"
            " docs/perplexity.md). Or both, with a comma."
        ),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Variant or model that the others are compared with.")
    ] = None,
    divergence: Annotated[
        bool | None,
        typer.Option(
            "--divergence/--no-divergence",
            help="Measure the KL divergence of each variant from the reference.",
        ),
    ] = None,
    exact: Annotated[
        bool | None,
        typer.Option(
            "--exact", help="Compare full distributions, with both models in memory at once."
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(help="Number of most likely tokens kept of each distribution. Default: 512."),
    ] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(help="Maximum number of tokens in a batch, padding included.")
    ] = None,
    beside: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDERS",
            help="Folders of runs, comparisons or gates whose ROUGE and speed to show alongside.",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", parser=a_path, help="Resume an interrupted measurement."),
    ] = None,
    trust_folder: TrustFolder = False,
    executor: Executor = "here",
    ray_address: RayAddress = "",
    ray_cpus: RayCpus = 0,
    quiet: Quiet = False,
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """Measure how well each model and variant predicts given texts, token by token."""
    own = {
        "models": models, "variants": variants, "text_column": text_column,
        "category_column": category_column, "split": split, "window": window, "stride": stride,
        "bos": bos, "conditions": conditions, "reference": reference, "divergence": divergence,
        "exact": exact, "top_k": top_k, "batch_tokens": batch_tokens, "beside": beside,
    }  # fmt: skip
    with people(as_json, form, quiet) as (console, say):
        from harness.likelihood import study as laboratory
        from reports.pages.likelihood.screen import table

        where = executor_of(executor, ray_address, ray_cpus)
        own["executor"] = None if where == "here" else where
        found, place = laboratory.measure({**flags, **own}, resume, say, trust_folder)
        with noted(f"table on the screen; see {place}"):
            laboratory.show(found, place, console, tables=form == "table")
        say_how_to_go_on(found, place, console)
        put(form, lambda: [table(found)])
    finish(found, as_json, laboratory.exit_code(found))
