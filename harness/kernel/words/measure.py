"""What is a figure called by which deployments are chosen, in which unit is it, and how is it
written? `memory`, `ttft_p99`, `usd_per_hour`.

Values are in base units (seconds, bytes, shares of 1), limits are written in any unit of their
kind. Any percentile of a latency is a figure (`ttft_p99.5`); money is in whatever currency prices
are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from harness.kernel.words.figure import number, size
from harness.kernel.words.judged import TABLE

Kind = Literal["s", "bytes", "share", "of 100", "USD", "number"]
LATENCIES = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "latency": "latency"}
LATENCY = re.compile(r"(ttft|tpot|itl|latency)_(mean|max|p(\d+(?:\.\d+)?))(?:_ms)?")
UNITS: Mapping[Kind, Mapping[str, float]] = {  # what a limit may be written in; the first is usual
    "s": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0, "m": 60.0, "h": 3600.0},
    "bytes": {
        "GiB": 2.0**30, "MiB": 2.0**20, "KiB": 2.0**10, "TiB": 2.0**40,
        "GB": 1e9, "MB": 1e6, "kB": 1e3, "KB": 1e3, "TB": 1e12, "B": 1.0,
    },
    "share": {"%": 1e-2},
    "of 100": {"": 1.0, "%": 1.0},
    "USD": {"": 1.0, "USD": 1.0},
    "number": {"": 1.0},
}  # fmt: skip


# Figures that comparisons have under another name.
IN_ROWS = {
    "rouge": "rouge_ratio",
    "memory": "peak_bytes",
    "weights": "weights_bytes",
    "disk": "disk_bytes",
}


class Measure(NamedTuple):
    """`unit` is what stands behind a number; the other kinds have units of their own. `head` is
    what a table calls it, without a unit.
    """

    name: str
    label: str
    kind: Kind
    better: Literal["lower", "higher", ""] = ""
    unit: str = ""
    head: str = ""

    def text(self, value: float | None) -> str:
        """Write a value with its unit."""
        if value is None:
            return "-"
        if self.kind == "bytes":
            return size(value)
        if self.kind == "share":
            return f"{number(100 * value)} %"
        if self.kind == "s":
            return f"{number(1000 * value)} ms" if abs(value) < 1 else f"{number(value)} s"
        if self.kind == "USD":
            return f"{amount(value)} USD {self.unit}".strip()
        return f"{number(value)} {self.unit}".strip()


def amount(value: float) -> str:
    """Write an amount to the hundredth, a small one to three digits: 1,250.00, 0.0123."""
    return f"{value:,.2f}" if abs(value) >= 1 or not value else f"{value:.3g}"


_OUTPUT = "per million output tokens"
MEASURES: dict[str, Measure] = {
    one.name: one
    for one in (
        Measure("rouge", "ROUGE kept", "share", "higher"),
        Measure("memory", "peak memory", "bytes", "lower"),
        Measure("weights", "weights in memory", "bytes", "lower"),
        Measure("disk", "size on disk", "bytes", "lower"),
        Measure("tokens_per_s", "speed", "number", "higher", "tokens/s"),
        Measure("samples_per_s", "speed", "number", "higher", "samples/s"),
        Measure("joules_per_token", "energy", "number", "lower", "J a token"),
        Measure("perplexity", "perplexity", "number", "lower"),
        Measure("eval_loss", "loss", "number", "lower", "nats per token"),
        Measure("token_accuracy", "token accuracy", "share", "higher"),
        Measure("valid_qps", "valid rate", "number", "higher", "queries/s"),
        Measure("user_tokens_per_s", "speed for one user", "number", "higher", "tokens/s"),
        Measure("users_at_once", "users at once", "number", "higher"),
        Measure("served_tokens_per_s", "speed at the valid rate", "number", "higher", "tokens/s"),
        Measure("servers", "servers", "number", "lower"),
        Measure("load_per_server", "load of a server", "share"),
        Measure("system_tokens_per_s", "speed of all servers", "number", "", "tokens/s"),
        Measure("usd_per_hour", "cost", "USD", "lower", "an hour", "an hour"),
        Measure("usd_per_month", "cost", "USD", "lower", "a month", "a month"),
        Measure("usd_per_million_tokens_needed", "cost at the needed rate", "USD", "lower", _OUTPUT,
                "per M output tokens"),
        Measure("usd_per_million_tokens_valid", "cost at the valid rate", "USD", "lower", _OUTPUT,
                "per M output tokens"),
        Measure("usd_per_million_tokens", "cost", "USD", "lower", _OUTPUT, "per M output tokens"),
        Measure("usd_per_million_input_tokens", "cost of input", "USD", "lower",
                "per million input tokens", "per M input tokens"),
        Measure("usd_per_million_output_tokens", "cost of output", "USD", "lower", _OUTPUT,
                "per M output tokens"),
        Measure("job_hours", "time of the job", "number", "lower", "h", "on one server"),
        Measure("job_usd", "cost of the job", "USD", "lower", "", "on one server"),
        Measure("kwh_per_million_tokens", "energy", "number", "lower", f"kWh {_OUTPUT}",
                "per M output tokens"),
        Measure("energy_usd_per_million_tokens", "cost of energy", "USD", "lower", _OUTPUT,
                "per M output tokens"),
    )
}  # fmt: skip


def measure(name: str) -> Measure:
    """Return a figure by its name; a score of the answers where it is none of the others."""
    if name in MEASURES:
        return MEASURES[name]
    if match := LATENCY.fullmatch(name):
        what, statistic = match[1], match[2]
        return Measure(f"{what}_{statistic}", f"{LATENCIES[what]} {statistic}", "s", "lower")
    return Measure(name, name, "of 100", "higher", "of 100")


def in_rows(name: str) -> tuple[str, float] | None:
    """Return the name of the same figure in a row of a comparison, and how many of its units there
    are one here: ("ttft_p99_ms", 1000); None of a figure that ranks nowhere.
    """
    match = LATENCY.fullmatch(name)
    other, scale = (f"{match[1]}_{match[2]}_ms", 1e3) if match else (IN_ROWS.get(name, name), 1.0)
    return (other, scale) if other in TABLE else None
