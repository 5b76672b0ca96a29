"""By which figures may one candidate be better than another? One line each: the name, what people
call it, its unit, which way is better, what it is about, and other names that people type.

Constraints (`harness decide`), ranks, Pareto fronts and the columns of a model card read this
table. A row of a comparison has the value under `name`; `per_unit` of it are one `unit`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from harness.kernel.errors import unknown
from harness.kernel.words.figure import number

About = Literal["quality", "speed", "memory", "energy", "cost"]
_MIB, _SHARE = float(2**20), 0.01


class Judged(NamedTuple):
    """A figure that ranks: 1 `unit` for people is `per_unit` in a row."""

    name: str
    label: str
    unit: str
    better: Literal["higher", "lower"]
    about: About
    also: tuple[str, ...] = ()
    per_unit: float = 1.0
    digits: int | None = None  # behind the point; None: four significant ones

    @property
    def head(self) -> str:
        """Return what heads its column: "peak memory, MiB"."""
        return ", ".join(filter(None, (self.label, self.unit)))

    @property
    def is_exact(self) -> bool:
        """Is it counted, so that no chance moves it?"""
        return self.name in _EXACT

    def write(self, value: float) -> str:
        """Write a value of a row in `unit`, without it."""
        shown = value / self.per_unit
        return number(shown) if self.digits is None else f"{shown:,.{self.digits}f}"

    def text(self, value: float) -> str:
        """Write it with its unit."""
        return " ".join(filter(None, (self.write(value), self.unit)))


_EXACT = ("parameters", "trainable_parameters", "disk_bytes", "weights_bytes", "kv_cache_bytes")


def _latencies() -> Iterator[Judged]:
    for key, label in (("ttft", "TTFT"), ("tpot", "TPOT"), ("latency", "latency")):
        for percentile in ("p50", "p90", "p99"):
            also = (f"{key}_{percentile}",)
            name, words = f"{key}_{percentile}_ms", f"{label} {percentile}"
            yield Judged(name, words, "ms", "lower", "speed", also)


def _of_100(name: str, label: str, *also: str) -> Judged:
    return Judged(name, label, "", "higher", "quality", also, digits=2)


TABLE: dict[str, Judged] = {
    figure.name: figure
    for figure in (
        Judged("eval_loss", "loss on the answers", "nats/token", "lower", "quality", ("loss",),
               digits=4),
        Judged("perplexity", "perplexity of the answers", "", "lower", "quality", ("ppl",)),
        Judged("text_loss", "loss on the texts", "nats/token", "lower", "quality", digits=4),
        Judged("text_perplexity", "perplexity of the texts", "", "lower", "quality"),
        Judged("bits_per_byte", "bits per byte of the texts", "", "lower", "quality", ("bpb",)),
        Judged("mean_kld", "KL divergence from the reference", "nats", "lower", "quality",
               ("kl", "kld")),
        Judged("token_accuracy", "token accuracy", "%", "higher", "quality", ("accuracy",), _SHARE,
               2),
        Judged("text_token_accuracy", "token accuracy on the texts", "%", "higher", "quality", (),
               _SHARE, 2),
        Judged("rouge_ratio", "ROUGE kept", "%", "higher", "quality", ("rouge",), _SHARE, 2),
        _of_100("rouge1", "ROUGE-1"),
        _of_100("rouge2", "ROUGE-2"),
        _of_100("rougeL", "ROUGE-L"),
        _of_100("bleu", "BLEU"),
        _of_100("exact_match", "exact match"),
        _of_100("token_f1", "F1", "f1"),
        _of_100("number_match", "right numbers"),
        _of_100("gsm8k", "GSM8K"),
        _of_100("multiple_choice", "right choices"),
        Judged("task_solved", "task solved", "%", "higher", "quality", ("solved",), _SHARE, 2),
        Judged("tokens_per_s", "tokens/s", "", "higher", "speed", ("throughput",)),
        Judged("samples_per_s", "samples/s", "", "higher", "speed", ("qps",)),
        Judged("valid_qps", "highest valid rate", "queries/s", "higher", "speed", ("peak_qps",)),
        Judged("goodput_per_s", "goodput", "samples/s", "higher", "speed", ("goodput",)),
        Judged("eval_samples_per_s", "evaluation samples/s", "", "higher", "speed"),
        *_latencies(),
        Judged("inference_s", "inference time", "s a sample", "lower", "speed",
               ("inference_time",)),
        Judged("peak_bytes", "peak memory", "MiB", "lower", "memory", ("memory",), _MIB, 1),
        Judged("weights_bytes", "weights", "MiB", "lower", "memory", ("weights",), _MIB, 1),
        Judged("disk_bytes", "on disk", "MiB", "lower", "memory", ("disk", "size"), _MIB, 1),
        Judged("kv_cache_bytes", "KV cache", "MiB", "lower", "memory", ("kv_cache",), _MIB, 1),
        Judged("parameters", "parameters", "M", "lower", "memory", ("params",), 1e6, 1),
        Judged("joules_per_token", "energy", "J/token", "lower", "energy", ("energy",)),
        Judged("usd_per_million_tokens", "cost", "$/million tokens", "lower", "cost", ("cost",)),
        Judged("usd_per_million_tokens_valid", "cost at the valid rate", "$/million tokens",
               "lower", "cost"),
    )
}  # fmt: skip
_BY_ANY_NAME = {name: figure for figure in TABLE.values() for name in (figure.name, *figure.also)}


def find(name: str, doing: str) -> Judged:
    """Return the figure of this name. Raises BadInput, naming the nearest that is known."""
    if name not in _BY_ANY_NAME:
        raise unknown(doing, name, _BY_ANY_NAME, "docs/best.md says what each means.")
    return _BY_ANY_NAME[name]


def value_of(row: Any, figure: Judged) -> float | None:
    """Return the value in a row of a comparison; None where it is not known."""
    for place in (row, *(row.get(part) or {} for part in ("scores", "percentiles", "figures"))):
        if place.get(figure.name) is not None:
            return float(place[figure.name])
    of_texts = (row.get("likelihood") or {}).get("figures", {}).get(figure.name, (None,))
    return of_texts[0] if of_texts[0] is None else float(of_texts[0])
