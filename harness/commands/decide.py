"""Commands that choose a deployment, and that say what one costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands.arguments.executing import Executor, RayAddress, RayCpus, executor_of
from harness.commands.arguments.prices import PricePerHour
from harness.commands.arguments.shared import (
    Flags,
    Format,
    Json,
    Quiet,
    say_how_to_go_on,
    with_sut_options,
)
from harness.engine.pieces import noted
from harness.options.flags import COMPARE, LISTS, a_path, takes
from harness.screen import finish, people, put

_COST, _ASKED = "Cost", "Decision"


def _cost(help: str, metavar: str | None = None) -> Any:
    return typer.Option(help=help, rich_help_panel=_COST, metavar=metavar)


PriceKwh = Annotated[float | None, _cost("Price of a kilowatt hour.", "USD")]
Need = Annotated[float | None, _cost("Queries per second that all servers together must carry.")]
Margin = Annotated[
    float, _cost("Percent of the needed rate to add, so that servers have some to spare.")
]
OutputWeight = Annotated[
    float, _cost("What an output token costs, in input tokens. Prices on the market have 3 to 5.")
]
PromptTokens = Annotated[
    float | None, _cost("Mean tokens of a prompt, where the runs do not tell.")
]
JobSamples = Annotated[
    float | None, _cost("Number of samples in a job, to state its time and its cost.")
]
OneOff = Annotated[
    str | None,
    _cost("Cost of bringing a deployment into service, paid once: int8=2000.", "USD"),
]
Months = Annotated[float | None, _cost("Months that a deployment stays in service.")]
Runs = Annotated[
    list[Path] | None,
    typer.Argument(metavar="RUN...", parser=a_path, help="Folders of finished runs, or studies."),
]


@takes(COMPARE, LISTS)
def decide(
    flags: Flags,
    runs: Runs = None,
    variants: Annotated[
        str | None,
        typer.Option(
            help="What to choose from: variants such as fp32,bf16,int8, servers to be started such "
            "as vllm:bf16, addresses such as http://host:8000 (or http://host:8000#NAME). The "
            "first of each model is the reference of its quality."
        ),
    ] = None,
    require: Annotated[
        str,
        typer.Option(
            help="Limits that must be kept, such as "
            '"rouge>=99%, ttft_p99<=2s, memory<=8GiB, usd_per_hour<=50".',
            rich_help_panel=_ASKED,
        ),
    ] = "",
    maximise: Annotated[
        str | None,
        typer.Option(
            "--maximise", "--maximize",
            help="Figure that decides between those that keep every limit; the highest wins. "
            "Default: tokens_per_s, or the least cost where a price is given. Also --maximize.",
            rich_help_panel=_ASKED, metavar="FIGURE",
        ),
    ] = None,
    minimise: Annotated[
        str | None,
        typer.Option(
            "--minimise", "--minimize",
            help="The same; the lowest wins. Also --minimize.",
            rich_help_panel=_ASKED, metavar="FIGURE",
        ),
    ] = None,
    measure_all: Annotated[
        bool,
        typer.Option(
            "--measure-all",
            help="Measure every deployment that may still fit, even if it is surely not the best.",
            rich_help_panel=_ASKED,
        ),
    ] = False,
    price_per_hour: PricePerHour = None,
    need_qps: Need = None,
    margin: Margin = 0.0,
    price_per_kwh: PriceKwh = None,
    output_weight: OutputWeight = 4.0,
    prompt_tokens: PromptTokens = None,
    job_samples: JobSamples = None,
    one_off: OneOff = None,
    months: Months = None,
    executor: Executor = "here",
    ray_address: RayAddress = "",
    ray_cpus: RayCpus = 0,
    quiet: Quiet = False,
    as_json: Json = False,
    form: Format = "table",
) -> None:  # fmt: skip
    """Choose what to deploy: make the runs that the answer needs, or read finished ones; then say
    which, on how many servers, at what cost, how sure that is, and what would change it.
    """
    with people(as_json, form, quiet) as (console, say):
        from harness.study.decide import decide as deciding
        from harness.study.decide.plan import finished_only, job
        from harness.study.decide.wishes.wanted import Asked, wanted
        from reports.pages.decide import page

        where = executor_of(executor, ray_address, ray_cpus)
        prices = {
            "price_per_hour": price_per_hour, "one_off": one_off, "price_per_kwh": price_per_kwh,
            "need_qps": need_qps, "margin": margin, "output_weight": output_weight,
            "prompt_tokens": prompt_tokens, "job_samples": job_samples, "months": months,
        }  # fmt: skip
        asked = Asked(require, maximise, minimise, prices, measure_all)
        checked, given = wanted(asked), with_sut_options(flags)
        if runs:
            output_dir = finished_only("decide", given, variants)
            found, place = deciding.from_finished(runs, checked, output_dir)
        else:
            todo = job(asked, checked, given, variants)._replace(executor=where)
            found, place = deciding.run(todo, say, lambda row: console.news(page.told(row)))
        with noted(f"table on the screen; see {place}"):
            page.show(found, place, console, form == "table")
        say_how_to_go_on(found, place, console)
        put(form, lambda: [page.table(found)])
    finish(found, as_json, deciding.exit_code(found))


def cost(
    runs: Runs = None,
    price_per_hour: PricePerHour = None,
    need_qps: Need = None,
    margin: Margin = 0.0,
    price_per_kwh: PriceKwh = None,
    output_weight: OutputWeight = 4.0,
    prompt_tokens: PromptTokens = None,
    job_samples: JobSamples = None,
    one_off: OneOff = None,
    months: Months = None,
    as_json: Json = False,
    form: Format = "table",
) -> None:
    """Say what finished runs cost: per million tokens, per job, for a rate; how many servers, how
    much energy, and from when on one deployment is cheaper than another.
    """
    with people(as_json, form) as (console, _):
        from harness.cost.terms import terms
        from harness.study.decide import costing
        from reports.pages.decide import costs

        checked = terms(
            price_per_hour, one_off, price_per_kwh=price_per_kwh, need_qps=need_qps,
            margin=margin, output_weight=output_weight, prompt_tokens=prompt_tokens,
            job_samples=job_samples, months=months,
        )  # fmt: skip
        found = costing.costing(runs or [], checked)
        with noted("table on the screen"):
            costs.show(found, console, form == "table")
        put(form, lambda: [costs.table(found)])
    finish(found, as_json, 0)
