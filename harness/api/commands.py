"""Which commands are there, as functions? Each takes the settings of its command line, and what is
its own as arguments; `say` hears what takes long (nobody does by default).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from accuracy.gate.readings import Criteria
from harness.api.folders import FAMILY, PERPLEXITY, Run, Study, load
from harness.api.settings import (
    CompareSettings,
    EvaluateSettings,
    GateSettings,
    PerplexitySettings,
    RunSettings,
)
from harness.api.values import documented, flags_of, listed
from harness.commands import kinds
from harness.commands.arguments.executing import executor_of
from harness.evaluators import evaluate as evaluating
from harness.evaluators import job as evaluating_job
from harness.judging import judge as judging
from harness.judging import settings as judging_settings
from harness.kernel.foreign.consent import Consent
from harness.kernel.places import expanded
from harness.kernel.process import stopping
from harness.likelihood import study as laboratory
from harness.options.flags import SERVE
from harness.options.lists.percentiles import percentiles_of
from harness.options.settings import load_config
from harness.result.publish import publish
from harness.running.recover import recover
from harness.study import parts
from harness.study.comparison import compare as comparing
from harness.study.comparison import testing
from harness.study.decide import decide as deciding
from harness.study.decide.plan import finished_only
from harness.study.decide.plan import job as deciding_job
from harness.study.decide.wishes.wanted import Asked, wanted
from harness.study.family import family as families
from harness.study.gating import gate as gating
from harness.study.gating.job import job
from harness.study.sweep import plan as planning
from harness.study.sweep import sweep as sweeping

Say = Callable[[str], None]
Names = str | Sequence[str]


def _silent(_: str) -> None:
    """Tell nobody."""


def _text(value: str | float | None) -> str | None:
    return None if value is None else str(value)


def _names(names: Names) -> list[str]:
    """Return names that may have commas; a text is one of them."""
    return [names] if isinstance(names, str) else list(names)


def _unheard(_: Mapping[str, Any]) -> None:
    """Tell nobody of a row."""


@documented("run")
def run(*, config: Path | None = None, say: Say = _silent, **settings: Unpack[RunSettings]) -> Run:
    """Run one scenario and judge the result.

    `config` is a TOML file of settings, over which those given here take precedence.
    """
    with stopping.listening():
        found, folder, _ = parts.run(load_config(flags_of(settings), config), say)
    return Run(folder, found)


def report(folder: Path | str, percentiles: str | None = None) -> Run:
    """Judge a finished run again from its raw files, and write its result.json and report.html."""
    place = Path(folder)
    with stopping.listening():
        recover(place)
        found = publish(place, percentiles=percentiles_of(percentiles)).to_json()
    return Run(place, found)


@documented("compare")
def compare(
    *runs: Path | str,
    variants: Names | None = None,
    evaluate: bool | None = None,
    baseline: Names | None = None,
    fail_if: str | None = None,
    across_hardware: bool = False,
    allow_inconclusive: bool = False,
    price_per_hour: str | float | None = None,
    executor: str = "here",
    ray_address: str = "",
    ray_cpus: int = 0,
    config: Path | None = None,
    say: Say = _silent,
    **settings: Unpack[CompareSettings],
) -> Study:
    """Compare finished runs, or run and compare each of `variants` (offline by default).

    The first is the reference. Numbers and choices may be lists: all combinations are run.
    `baseline` names runs that are repeats of one side, `runs` are then those of the other;
    `fail_if` says which changes are too large, such as "ttft_p99>+5%, tokens_per_s<-3%".
    `price_per_hour`, such as 2.5 or "fp32=4,int8=2.5", adds what a million tokens cost.
    """
    where = executor_of(executor, ray_address, ray_cpus)
    given = flags_of(settings) | {"evaluate": evaluate, "config": config}
    sides = listed("baseline", baseline), [Path(run) for run in runs]
    with stopping.listening():
        asked, folders = testing.asked(
            *sides, fail_if, across_hardware, allow_inconclusive, _text(price_per_hour)
        )
        series = comparing.series(folders, given, listed("variants", variants), asked)
        found, place = comparing.run(series._replace(executor=where), say, _unheard)
    return Study(place, comparing.KIND, found)


@documented("sweep")
def sweep(
    *,
    plan: Path | str | None = None,
    zipped: bool = False,
    repeats: int | None = None,
    order_seed: int | None = None,
    evaluate: bool | None = None,
    executor: str = "here",
    ray_address: str = "",
    ray_cpus: int = 0,
    config: Path | None = None,
    say: Say = _silent,
    **settings: Unpack[CompareSettings],
) -> Study:
    """Measure every combination of settings: rates, batch sizes, variants, models, devices.

    Lists are Python's, or ranges as on the command line, such as "1..128*2".
    """
    where = executor_of(executor, ray_address, ray_cpus)
    given = flags_of(settings) | {"evaluate": evaluate, "config": config}
    with stopping.listening():
        file = None if plan is None else Path(plan)
        asked = planning.plan_of(given, file, zipped, repeats, order_seed)
        found, place = sweeping.run(asked, where, say, _unheard)
    return Study(place, sweeping.KIND, found)


@documented("gate")
def gate(
    candidates: Names,
    *,
    reference: Names = "fp32",
    target: str | float = "99.9",
    against: str | None = None,
    metric: str | None = None,
    resamples: int = 10_000,
    confidence: float = 95.0,
    control: bool = True,
    executor: str = "here",
    ray_address: str = "",
    ray_cpus: int = 0,
    config: Path | None = None,
    say: Say = _silent,
    **settings: Unpack[GateSettings],
) -> Study:
    """Decide whether a variant or a server may go live: does it keep enough of the reference's
    ROUGE, or, with `task`, still solve what the reference solves?

    `reference` and `candidates` are variants, servers or run folders, of one task or several; a
    `reference` that is a variant beside folders means its runs among these. `target` is the
    percentage to keep, or an MLPerf target such as llama2-70b-99.9.
    """
    where = executor_of(executor, ray_address, ray_cpus)
    asked = Criteria(str(target), against, resamples, confidence, metric)
    if "task" in settings:
        settings["task"] = listed("task", settings["task"]) or ""
    given = flags_of(settings) | {"config": config}
    with stopping.listening():
        own = listed("reference", reference) or ""
        made = job(own, listed("candidates", candidates) or "", given, asked, control)
        found, place = gating.run(made._replace(executor=where), say, _unheard)
    return Study(place, gating.KIND, found)


@documented("decide")
def decide(
    *runs: Path | str,
    variants: Names | None = None,
    require: Names = "",
    maximise: str | None = None,
    minimise: str | None = None,
    measure_all: bool = False,
    price_per_hour: str | float | None = None,
    need_qps: float | None = None,
    margin: float = 0.0,
    price_per_kwh: float | None = None,
    output_weight: float = 4.0,
    prompt_tokens: float | None = None,
    job_samples: float | None = None,
    one_off: str | float | None = None,
    months: float | None = None,
    executor: str = "here",
    ray_address: str = "",
    ray_cpus: int = 0,
    config: Path | None = None,
    say: Say = _silent,
    **settings: Unpack[CompareSettings],
) -> Study:
    """Choose what to deploy: make the runs that the answer needs, or read finished ones.

    `require` are limits that must be kept, such as ["rouge>=99%", "ttft_p99<=2s"]; `maximise` or
    `minimise` names the figure that decides between those that keep them.
    """
    where = executor_of(executor, ray_address, ray_cpus)
    prices = {
        "price_per_hour": _text(price_per_hour), "one_off": _text(one_off),
        "price_per_kwh": price_per_kwh, "need_qps": need_qps, "margin": margin,
        "output_weight": output_weight, "prompt_tokens": prompt_tokens,
        "job_samples": job_samples, "months": months,
    }  # fmt: skip
    asked = Asked(listed("require", require) or "", maximise, minimise, prices, measure_all)
    checked, given = wanted(asked), flags_of(settings) | {"config": config}
    named = listed("variants", variants)
    with stopping.listening():
        if runs:
            output_dir = finished_only("decide", given, named)
            folders = [Path(run) for run in runs]
            found, place = deciding.from_finished(folders, checked, output_dir)
        else:
            todo = deciding_job(asked, checked, given, named)._replace(executor=where)
            found, place = deciding.run(todo, say, _unheard)
    return Study(place, deciding.KIND, found)


def family(*folders: Path | str, output_dir: Path | str = "runs", say: Say = _silent) -> Study:
    """Set the sizes, iterations and precisions of a model side by side, from finished folders.

    A folder may be a text such as "v3.5=runs/NAME", which says what the model in it is called.
    """
    with stopping.listening():
        found, place = families.run([Path(one) for one in folders], Path(output_dir), say)
    return Study(place, FAMILY, found)


@documented("perplexity")
def perplexity(
    *,
    models: Names | None = None,
    variants: Names | None = None,
    text_column: str | None = None,
    category_column: str | None = None,
    split: str | None = None,
    window: int | None = None,
    stride: int | None = None,
    bos: str | None = None,
    conditions: Names | None = None,
    reference: str | None = None,
    divergence: bool | None = None,
    exact: bool | None = None,
    top_k: int | None = None,
    batch_tokens: int | None = None,
    beside: Names | None = None,
    executor: str = "here",
    ray_address: str = "",
    ray_cpus: int = 0,
    say: Say = _silent,
    **settings: Unpack[PerplexitySettings],
) -> Study:
    """Measure how well each model and variant predicts given texts, token by token."""
    where = executor_of(executor, ray_address, ray_cpus)
    own = {
        "models": listed("models", models), "variants": listed("variants", variants),
        "text_column": text_column, "category_column": category_column, "split": split,
        "window": window, "stride": stride, "bos": bos,
        "conditions": listed("conditions", conditions), "reference": reference,
        "divergence": divergence, "exact": exact, "top_k": top_k, "batch_tokens": batch_tokens,
        "beside": listed("beside", beside), "executor": None if where == "here" else where,
    }  # fmt: skip
    with stopping.listening():
        found, place = laboratory.measure(flags_of(settings) | own, None, say)
    return Study(place, PERPLEXITY, found)


@documented("evaluate")
def evaluate(
    *,
    with_: str,
    task: Names,
    variants: Names | None = None,
    base_url: str | None = None,
    tokenizer: str = "",
    tool_python: Path | str | None = None,
    tool_path: Path | str | None = None,
    timeout: str | float | None = None,
    max_len: int | None = None,
    output_dir: Path | str = "runs",
    options: Sequence[str] = (),
    say: Say = _silent,
    **settings: Unpack[EvaluateSettings],
) -> Study:
    """Let an evaluation tool of somebody else's judge each of `variants`, or the server at
    `base_url`: `with_` is lm-eval, inspect, deepeval, evals or simple-evals.

    `options` are words for the tool, such as ["--limit", "100"].
    """
    flags = dict.fromkeys(SERVE) | flags_of(settings, SERVE)
    python, tool = (None if path is None else Path(path) for path in (tool_python, tool_path))
    asked = evaluating_job.Asked(
        with_, listed("task", task) or "", flags, listed("variants", variants), base_url,
        tokenizer, python, tool, _text(timeout), max_len, Path(output_dir), tuple(options),
    )  # fmt: skip
    with stopping.listening():
        found, place = evaluating.measure(evaluating_job.job(asked), say, _unheard)
    return Study(place, evaluating.KIND, found)


def judge(
    *runs: Path | str,
    judge: Names,
    by: str | None = None,
    judge_limit: int | None = None,
    judge_concurrency: int = 4,
    judge_timeout: float = 120.0,
    judge_tokens: int = 512,
    judge_format: str = "text",
    judge_price: Names = (),
    api_key_env: Names = (),
    output_dir: Path | str = "runs",
    say: Say = _silent,
) -> Study:
    """Have a language model judge the answers of finished `runs`, the first of which is the
    reference.

    `judge` is who judges, one or several: a server's address, http://host:8000#MODEL, or
    local:MODEL@VARIANT. `by` is pairs, scores or both (pairs by default, scores for one run);
    `judge_timeout` is in seconds, a `judge_price` is "IN,OUT" in US dollars per million tokens, and
    `api_key_env` names the variable that holds the key: one for all judges, or one for each.
    """
    folders, names = [expanded(Path(run)) for run in runs], _names(judge)
    asked = judging_settings.Asked(
        judging_settings.named(names, _names(api_key_env)),
        judging_settings.by(by, len(folders) if folders else 2), judge_limit, judge_concurrency,
        judge_timeout, judge_tokens, judging_settings.prices(_names(judge_price), len(names)),
        Path(output_dir), judging_settings.form(judge_format),
    )  # fmt: skip
    judging_settings.check_runs(folders)
    with stopping.listening():
        found, place = judging.run(folders, judging_settings.checked(asked), say)
    return Study(place, judging.KIND, found)


def resume(
    folder: Path | str,
    *,
    trust_remote_code: bool = False,
    trust_folder: bool = False,
    sut_options: Mapping[str, Any] | None = None,
    say: Say = _silent,
) -> Run | Study:
    """Go on with a study, a search or an evaluation that was interrupted, of whichever kind."""
    consent = Consent(trust_remote_code, trust_folder)
    with stopping.listening():
        kind, study = kinds.what(Path(folder), consent, dict(sut_options or {}))
        _, place = kind.go_on(study, say, _unheard)
    return load(place)
