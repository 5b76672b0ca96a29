"""Which figures does a run have? One line each; terminal, page, comparison, CSV and Markdown read
this table.

`declare` adds a figure from outside. Latencies are a grid: what was timed, by statistic. The scores
of a run are those that its dataset allows (`reports.scores` says what each means).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.kernel.stats import percentile_name, share
from harness.kernel.words.figure import Better, Figure, Result, at, number, size
from reports.parts import capacity
from reports.scores import OF_100, SCORES, unit

LATENCIES = {
    "ttft_ms": "TTFT",
    "tpot_ms": "TPOT",
    "itl_ms": "ITL",
    "latency_ms": "latency",
    "issue_lag_ms": "issue lag",
}
_PERCENTILES = ("p50", "p90", "p95", "p97", "p99", "p99.9")


GROUPS = (
    "Throughput",
    *capacity.GROUPS,
    "Decoding",
    "Memory",
    "Quality",
    "Answers",
    "Evaluation",
    "Energy",
    "Driver",
)


def _of(
    part: str, name: str, label: str, unit: str = "", better: Better = "", brief: str = ""
) -> Figure:
    """Return the figure `name` of a part of result.json; the part names its group."""
    return Figure(name, label, at(part, name), unit, better, group=part.capitalize(), brief=brief)


def _bytes(name: str, label: str, brief: str = "") -> Figure:
    return replace(_of("memory", name, label, "", "lower", brief), write=size)


def _evaluated(name: str, label: str, unit: str, better: Better, brief: str) -> Figure:
    return replace(_of("accuracy", name, label, unit, better, brief), group="Evaluation")


def _decoding(name: str, label: str, unit: str, better: Better, brief: str) -> Figure:
    """Return a figure of the self-check; `decode_` goes before its name."""
    figure = _of("self_check", name, label, unit, better, brief)
    return replace(figure, name=f"decode_{name}", group="Decoding")


def _tokens_per_s(result: Result) -> Any:
    """Return None rather than 0 for a SUT that counts no tokens."""
    return result["throughput"]["tokens_per_s"] if result["counts"]["tokens"] else None


def _task_solved(result: Result) -> Any:
    """Return the share of its task that was solved, by the scorer that decides."""
    task = result.get("task") or {}
    return task["scores"][task["scorer"]]["value"] if task else None


FIGURES: dict[str, Figure] = {
    figure.name: figure
    for figure in (
        _of("counts", "queries", "queries"),
        _of("counts", "samples", "samples"),
        _of("counts", "completed", "completed samples"),
        _of("counts", "failed", "failed samples", "", "lower"),
        _of("counts", "timed_out", "timed-out samples", "", "lower"),
        _of("counts", "unfinished", "unfinished samples", "", "lower"),
        _of("counts", "tokens", "output tokens"),
        replace(
            _of("throughput", "tokens_per_s", "tokens", "tokens/s", "higher", "{}"),
            read=_tokens_per_s,
        ),
        _of("throughput", "samples_per_s", "samples", "samples/s", "higher", "{}"),
        _of("throughput", "queries_per_s", "queries", "queries/s", "higher"),
        _of("throughput", "scheduled_samples_per_s", "scheduled", "samples/s", "", "{} scheduled"),
        _of("throughput", "duration_s", "duration", "s"),
        replace(
            _of("sut_facts", "max_batch", "requests in a batch, at most"),
            name="requests_in_batch",
            group="Throughput",
        ),
        *capacity.FIGURES,
        _decoding("step_ms", "decode step, median", "ms", "lower", "{} a step"),
        _decoding("rows", "requests in most steps", "", "", "{} rows"),
        _decoding("limit_ms", "limit of a step, by the memory's speed", "ms", "", "limit {}"),
        replace(
            _decoding("share", "share of the limit reached", "%", "higher", "{} of it reached"),
            write=lambda share: number(100 * share),
        ),
        _bytes("weights_bytes", "weights", "weights {}"),
        _bytes("kv_cache_bytes", "KV cache", "KV cache {}"),
        _bytes("rss_peak_bytes", "process, peak while loading and serving", "process peak {}"),
        _bytes("gpu_peak_bytes", "GPU, peak while loading and serving", "GPU peak {}"),
        _bytes("loading_peak_bytes", "peak while loading", "{} while loading"),
        _bytes("serving_peak_bytes", "peak while serving", "{} while serving"),
        _bytes("evaluation_peak_bytes", "peak while evaluating", "{} while evaluating"),
        _bytes("gpu_reserved_bytes", "GPU, most reserved"),
        _bytes("gpu_process_bytes", "GPU, allocated to the process"),
        _bytes("graph_bytes", "CUDA graphs"),
        replace(
            _evaluated("eval_loss", "loss", "nats per token", "lower", "loss {}"),
            write=lambda nats: f"{nats:.4f}",
        ),
        _evaluated("perplexity", "perplexity", "", "lower", "perplexity {}"),
        replace(
            _evaluated("token_accuracy", "token accuracy", "%", "higher", "{} token accuracy"),
            write=lambda share: f"{100 * share:.2f}",
        ),
        _evaluated("eval_samples_per_s", "speed", "samples/s", "higher", "{}"),
        _evaluated("eval_samples", "answers", "", "", "{} answers"),
        _evaluated("eval_tokens", "answer tokens", "", "", "{} tokens"),
        Figure(
            "task_solved", "task solved", _task_solved, "%", "higher",
            lambda share: f"{100 * share:.1f}", group="Quality", brief="",
        ),
        _of("energy", "joules", "total", "J", "lower", "{}"),
        _of("energy", "joules_per_token", "per token", "J/token", "lower", "{}"),
        _of("energy", "watts_mean", "mean power", "W", "lower", "{} mean"),
        _of("energy", "idle_watts", "power before the run", "W", "", "{} before the run"),
        replace(
            _of("driver", "issue_lag_p99_ms", "p99 issue lag", "ms", "lower", "{} p99 issue lag"),
            name="driver_issue_lag_p99_ms",  # LoadGen may have measured its own
        ),
        _of("driver", "error_percent", "error of the judged figures", "%", "lower", "{} error"),
        _of("driver", "client_cpu_percent", "processor", "% CPU", "lower", "{}"),
        _of("driver", "channel_roundtrip_us", "channel round trip", "µs", "lower",
            "{} channel round trip"),
    )
}  # fmt: skip
_OWN = frozenset(FIGURES)


def declare(figure: Figure) -> None:
    """Add a figure to every table. Raises ValueError if its name is taken."""
    if figure.name in FIGURES:
        raise ValueError(f"a figure named {figure.name!r} is declared already")
    FIGURES[figure.name] = figure


def declared() -> list[Figure]:
    """Return the figures that were added from outside."""
    return [figure for name, figure in FIGURES.items() if name not in _OWN]


def compared() -> list[Figure]:
    """Return those of them that comparisons show."""
    return [figure for figure in declared() if figure.compared]


def known(group: str, result: Result) -> list[tuple[Figure, Any]]:
    """Return the figures of a group that have a value in this result; of memory, those that were
    used at all.
    """
    pairs = ((figure, figure.value(result)) for figure in of_run(result) if figure.group == group)
    is_memory = group == "Memory"
    return [(figure, value) for figure, value in pairs if value or (value == 0 and not is_memory)]


def of_run(result: Result) -> list[Figure]:
    """Return every figure that this run can have, in the order of its tables."""
    return [*_latencies(result), *FIGURES.values(), *_scores(result)]


def headline(result: Result) -> list[Figure]:
    """Return the figure by which its scenario is measured, if it has one."""
    about = result["result"]
    if about["value"] is None:
        return []
    read, brief = at("result", "value"), f"{{}}  ({about['name']})"
    return [Figure("result", about["name"], read, about["unit"], group="Result", brief=brief)]


def asked_percentiles(result: Result) -> tuple[str, ...]:
    """Return the names of --percentiles, such as p99.99; nothing where none were asked for."""
    return tuple(percentile_name(share(percent)) for percent in result.get("percentiles", ()))


def _latencies(result: Result) -> list[Figure]:
    more = [name for name in asked_percentiles(result) if name not in _PERCENTILES]
    percentiles = sorted((*_PERCENTILES, *more), key=lambda name: float(name[1:]))
    found = []
    for key, label in LATENCIES.items():
        what = key.removesuffix("_ms")
        for statistic in ("mean", *percentiles, "max"):
            read = at("latency", key, statistic)
            name, words = f"{what}_{statistic}_ms", f"{label} {statistic}"
            found.append(Figure(name, words, read, "ms", "lower", group="Latency", brief=""))
    return found


def _scores(result: Result) -> list[Figure]:
    """Return the scores in the order of SCORES, those of other metrics last; the evaluation's are
    above.
    """
    names = [name for name in SCORES if name in result["accuracy"]]
    names += [name for name in result["accuracy"] if name not in SCORES]
    return [_score(name) for name in names if name not in FIGURES]


def _score(name: str) -> Figure:
    is_quality = unit(name) == OF_100
    brief = "" if name.startswith(_ONLY_ON_PAGE) else f"{name} {{}}"
    group = "Quality" if is_quality else "Answers"
    return Figure(name, name, at("accuracy", name), unit(name), group=group, brief=brief)


_ONLY_ON_PAGE = ("bleu_",)  # the parts of BLEU
