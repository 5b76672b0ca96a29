"""How long and how strict is a run? A profile is the set of defaults that a user's own flags
override.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import scenarios
from harness.kernel.entries import ScenarioEntry
from harness.kernel.types import Seeds

Suite = Literal["datacenter", "interactive", "edge"]


@dataclass(frozen=True, slots=True)
class Profile:
    """Defaults of a run. `percentile` and `min_queries` are those of every scenario; None leaves
    them to the scenario's own entry, whose figures are MLPerf's.

    `performance_samples` is how many samples a performance run loads (None: all there are). Of a
    benchmark, `models` are the names of its model, `dataset` the format of its dataset: no
    defaults, but what the closed division asks for.
    """

    summary: str
    official: bool  # long enough for MLPerf
    percentile: float | None
    min_queries: int | None
    min_duration_s: float
    ttft_limit_s: float
    tpot_limit_s: float
    max_new_tokens: int
    equal_issue: bool = False
    performance_samples: int | None = None
    target_latency_s: float | None = None  # server: judged instead of TTFT and TPOT
    inferred_tokens_per_sample: int | None = None
    models: tuple[str, ...] = ()
    dataset: str = ""
    loadgen_model: str = ""  # LoadGen's name of the model in its configuration files
    accuracy_samples: int | None = None  # where an accuracy run has others than all
    suite: Suite = "datacenter"

    def is_measured_by(self, entry: ScenarioEntry) -> bool:
        """Tell whether MLPerf measures language models of this suite by a scenario."""
        if self.suite == "interactive":
            return entry.is_open
        return entry.is_at_once or (entry.is_one_by_one if self.suite == "edge" else entry.is_open)

    def tail(self, scenario: str) -> float:
        """Return the percentile that is judged, 0 < p < 1."""
        return self.percentile or scenarios.entry(scenario).percentile

    def least_queries(self, scenario: str) -> int:
        """Return how many queries are issued at least."""
        entry = scenarios.entry(scenario)
        if entry.issues_library and self.performance_samples:
            return self.performance_samples
        return self.min_queries or entry.min_queries

    @property
    def use_tokens(self) -> bool:
        """Are TTFT and TPOT judged, and not the whole latency?"""
        return self.target_latency_s is None

    @property
    def issue(self) -> str:
        """How samples are drawn, in the words of --issue."""
        return "equal" if self.equal_issue else "random"


def _mlperf(
    summary: str,
    max_new_tokens: int,
    ttft_limit_s: float,
    tpot_limit_s: float,
    samples: int | None = None,
) -> Profile:
    """MLPerf's lengths and tails; offline issues each of the benchmark's `samples` at least once
    (mlperf.conf 6.0.17).
    """
    return Profile(
        summary=summary,
        official=True,
        percentile=None,
        min_queries=None,
        min_duration_s=600.0,
        ttft_limit_s=ttft_limit_s,
        tpot_limit_s=tpot_limit_s,
        max_new_tokens=max_new_tokens,
        equal_issue=True,
        performance_samples=samples,
    )


def _benchmark(
    key: str,
    models: tuple[str, ...],
    dataset: str,
    samples: int,
    tokens: int,
    *limits_ms: tuple[int, int],
    accuracy_samples: int | None = None,
    suite: Suite = "datacenter",
) -> Rows:
    """A model's row and, if it has one, its interactive row; each has its limits (TTFT, TPOT)."""

    def row(kind: str, limits: tuple[int, int]) -> Profile:
        ttft_ms, tpot_ms = limits
        words = (
            f"MLPerf {key}{kind}: {samples} samples, p99 TTFT {ttft_ms} ms, TPOT {tpot_ms} ms,"
            f" {tokens} new tokens"
        )
        return replace(
            _mlperf(words, tokens, ttft_ms / 1e3, tpot_ms / 1e3, samples),
            models=models,
            dataset=dataset,
            loadgen_model=key.replace("3.1", "3_1") + kind.replace(" ", "-"),
            accuracy_samples=accuracy_samples,
            suite="interactive" if kind else suite,
        )

    kinds = ("", " interactive")
    return {
        key + kind.replace(" ", "-"): row(kind, limits)
        for kind, limits in zip(kinds, limits_ms, strict=False)
    }


Rows = dict[str, Profile]

_LLAMA_8B = ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Meta-Llama-3.1-8B-Instruct")
_LLAMA_405B = ("meta-llama/Llama-3.1-405B-Instruct", "meta-llama/Meta-Llama-3.1-405B-Instruct")
_MIXTRAL = ("mistralai/Mixtral-8x7B-Instruct-v0.1",)

TABLE: Rows = {
    "quick": Profile(
        summary="64 queries, p90 limits, 32 new tokens, about a minute; not an MLPerf result",
        official=False,
        percentile=0.90,
        min_queries=64,
        min_duration_s=0.0,
        ttft_limit_s=2.0,
        tpot_limit_s=0.2,
        max_new_tokens=32,
    ),
    "mlperf": _mlperf(
        "MLPerf's run lengths and percentiles for any model: 600 s, p90 in single-stream, p99"
        " elsewhere",
        1024,
        2.0,
        0.2,
    ),
    **_benchmark(
        "llama2-70b",
        ("meta-llama/Llama-2-70b-chat-hf",),
        "openorca",
        24576,
        1024,
        (2000, 200),
        (450, 40),
    ),
    **_benchmark("llama3.1-8b", _LLAMA_8B, "cnn-dailymail", 13368, 128, (2000, 100), (500, 30)),
    **_benchmark(
        "llama3.1-8b-edge", _LLAMA_8B, "cnn-dailymail", 5000, 128, (2000, 100), suite="edge"
    ),
    **_benchmark(
        "llama3.1-405b", _LLAMA_405B, "llama3.1-405b", 8313, 20000, (6000, 175), (4500, 80)
    ),
    **_benchmark("mixtral-8x7b", _MIXTRAL, "mixtral-8x7b", 15000, 1024, (2000, 200)),
    **_benchmark(
        "deepseek-r1",
        ("deepseek-ai/DeepSeek-R1",),
        "reasoning",
        4388,
        20000,
        (2000, 80),
        (1500, 15),
    ),
    **_benchmark(
        "gpt-oss-120b",
        ("openai/gpt-oss-120b",),
        "reasoning",
        6396,
        10240,
        (3000, 80),
        (2000, 15),
        accuracy_samples=4395,
    ),
    "gptj": replace(
        _mlperf(
            "MLPerf gptj (retired): 13368 samples, p99 latency 20 s, 128 new tokens",
            128,
            20.0,
            20.0,
            13368,
        ),
        target_latency_s=20.0,
        inferred_tokens_per_sample=69,
        models=("EleutherAI/gpt-j-6b",),
        loadgen_model="gptj",
        dataset="cnn-dailymail",
    ),
}

# Every model that mlperf.conf 6.0.17 has lines for, and those of the reference user.conf files.
LOADGEN_MODELS = frozenset({
    "3d-unet", "bert", "deepseek-r1", "deepseek-r1-interactive", "dlrm", "dlrm-v2", "dlrm-v3",
    "e2e-rag-db", "e2e-rag-qna", "gpt-oss-120b", "gpt-oss-120b-interactive", "gptj", "llama2-70b",
    "llama2-70b-interactive", "llama3_1-405b", "llama3_1-405b-interactive", "llama3_1-8b",
    "llama3_1-8b-edge", "llama3_1-8b-interactive", "mixtral-8x7b", "pointpainting",
    "qwen3-vl-235b-a22b", "resnet50", "retinanet", "rgat", "rnnt", "ssd-mobilenet",
    "stable-diffusion-xl", "wan-2.2-t2v-a14b", "whisper", "yolo",
})  # fmt: skip

SEEDS = {
    "v4.1": Seeds(3066443479025735752, 10688027786191513374, 14962580496156340209),
    "v5.0": Seeds(6023615788873153749, 15036839855038426416, 9933818062894767841),
    "v5.1": Seeds(1780908523862526354, 14771362308971278857, 18209322760996052031),
    "v6.0": Seeds(2465351861681999779, 14276810075590677512, 3936089224930324775),
    "v6.1": Seeds(2085463073848966840, 2747215439041700203, 16159082839903944936),
}
