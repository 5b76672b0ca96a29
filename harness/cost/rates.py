"""How fast is one server, as far as money is concerned? What a run measured, each with its
interval.

The rates of one deployment lean on one another: tokens per second are samples per second times the
tokens of a sample, so one interval makes all of them.
"""

from __future__ import annotations

from typing import NamedTuple

from harness.cost.uncertain import Uncertain


class Rates(NamedTuple):
    """One server under full load (`tokens_per_s`), and under the highest rate that keeps its limits
    (`valid_qps`); None where it was not measured.
    """

    tokens_per_s: Uncertain | None = None  # output tokens
    tokens_per_sample: float | None = None  # output tokens
    prompt_tokens: float | None = None  # of a sample
    valid_qps: Uncertain | None = None
    latency_s: Uncertain | None = None  # mean, at the valid rate
    tpot_s: Uncertain | None = None  # median, at the valid rate
    joules_per_token: Uncertain | None = None  # output tokens
