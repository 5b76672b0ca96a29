"""What does a submission to MLPerf Inference need? The tables of MLCommons' submission checker
(v6.0, v6.1), LLMs only.

Limits are milliseconds at p99, accuracies are (least, most) in the units of accuracy.txt. A score
counts only in the form that the checker's pattern takes (`QUOTED`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

DIVISIONS = ("open", "closed", "network")
STATUSES = ("available", "preview", "rdi")
SYSTEM_TYPES = ("datacenter", "edge", "datacenter,edge", "edge,datacenter")
COUNTS = ("number_of_nodes", "accelerators_per_node")  # the checker multiplies them
MIN_DURATION_MS = 600_000
MAX_ACCURACY_LOG_BYTES = 10 * 1024
MODEL_NAMES = {  # the checker's own second names
    "llama3_1-405b": "llama3.1-405b",
    "llama3_1-8b": "llama3.1-8b",
    "llama3_1-8b-edge": "llama3.1-8b-edge",
}
QUOTED = ("rouge1", "rouge2", "rougeL", "rougeLsum")  # scores whose number may stand in quotes

MEASUREMENTS = (
    "input_data_types",
    "retraining",
    "starting_weights_filename",
    "weight_data_types",
    "weight_transformations",
)
SYSTEM_FILLED = (
    "division", "submitter", "status", "system_type", "system_name", "number_of_nodes",
    "host_processor_model_name", "host_processors_per_node", "host_processor_core_count",
    "host_memory_capacity", "host_memory_configuration", "host_storage_capacity",
    "host_storage_type", "host_networking", "host_network_card_count", "host_networking_topology",
    "accelerators_per_node", "accelerator_model_name", "accelerator_memory_capacity",
    "accelerator_memory_configuration", "accelerator_host_interconnect", "accelerator_interconnect",
    "cooling", "framework", "operating_system", "other_software_stack",
)  # fmt: skip
SYSTEM_MAY_BE_EMPTY = (
    "system_type_detail", "host_processor_frequency", "host_processor_caches",
    "host_processor_interconnect", "accelerator_frequency", "accelerator_interconnect_topology",
    "accelerator_on-chip_memories", "hw_notes", "sw_notes",
)  # fmt: skip
SYSTEM_NETWORK = (  # as soon as a system says `is_network`, be it true or false
    "is_network", "network_type", "network_media", "network_rate", "nic_loadgen",
    "number_nic_loadgen", "net_software_stack_loadgen", "network_protocol", "number_connections",
    "nic_sut", "number_nic_sut", "net_software_stack_sut", "network_topology",
)  # fmt: skip
NETWORK_SUT = "Network SUT"  # a part of the name of a system that is reached over a network

Limits = Mapping[str, tuple[int, int]]  # scenario folder -> (TTFT, TPOT)
Bounds = Mapping[str, tuple[float, float]]  # metric -> (least, most)


TESTS = {  # the page of each compliance test that the checker reads
    "TEST06": "verify_accuracy.txt",
    "TEST07": "verify_accuracy.txt",
    "TEST09": "verify_output_len.txt",
}


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One model of MLPerf. A metric whose least is 0 need not be reported."""

    samples: int
    accuracy: Bounds
    limits_ms: Limits = field(default_factory=dict)
    accuracy_samples: int | None = None  # None: as many as `samples`
    edge: bool = False
    target_latency_s: int | None = 60  # the most that a server run without token limits may allow
    tests: tuple[str, ...] = ()  # closed and network: whose pages must be there, and say PASS

    @property
    def suite(self) -> str:
        return "edge" if self.edge else "datacenter"

    @property
    def scenarios(self) -> tuple[tuple[str, ...], ...]:
        """Return what closed and network need: one scenario of each group, and no other."""
        return (("Offline",), ("SingleStream",) if self.edge else tuple(self.limits_ms))


@dataclass(frozen=True, slots=True)
class Round:
    """Seeds (QSL, sample index, schedule) and benchmarks of one round."""

    seeds: tuple[int, int, int]
    benchmarks: Mapping[str, Benchmark]


def _rouge(share: float, *references: float) -> dict[str, tuple[float, float]]:
    kinds = ("rouge1", "rouge2", "rougeL", "rougeLsum")
    return {
        kind: (reference * share, inf) for kind, reference in zip(kinds, references, strict=False)
    }


def _around(reference: float) -> tuple[float, float]:
    return 0.9 * reference, 1.1 * reference


def _llama2(share: float) -> Benchmark:
    scores = _rouge(share, 44.4312, 22.0352, 28.6162) | {"tokens_per_sample": _around(294.45)}
    limits = {"Server": (2000, 200), "Interactive": (450, 40)}
    return Benchmark(24576, scores, limits, target_latency_s=20, tests=("TEST06",))


_LLAMA3_8B = _rouge(0.99, 38.7792, 15.9075, 24.4957, 35.793) | {"gen_len": _around(8167644)}
_LLAMA3_EDGE = _rouge(0.99, 39.06, 16.1147, 24.6375, 36.124) | {"gen_len": _around(3051113)}
_DEEPSEEK = {"exact_match": (0.99 * 81.3582, inf), "tokens_per_sample": _around(3886.2274)}
_GPT_OSS = {"exact_match": (0.99 * 83.13, inf), "tokens_per_sample": (0.0, 1.1 * 9999)}
_LLAMA3_405B = {
    "rougeL": (0.99 * 21.6666, inf),
    "exact_match": (0.99 * 90.1335, inf),
    "tokens_per_sample": _around(684.68),
}
_MIXTRAL = _rouge(0.99, 45.5989, 23.3526, 30.4608) | {
    "gsm8k": (0.99 * 73.66, inf),
    "mbxp": (0.99 * 60.16, inf),
    "tokens_per_sample": (0.9 * 144.84, 1.1 * 145.9),
}

_BOTH = {
    "llama2-70b-99.9": _llama2(0.999),
    "llama3.1-8b": Benchmark(
        13368,
        _LLAMA3_8B,
        {"Server": (2000, 100), "Interactive": (500, 30)},
        target_latency_s=20,
        tests=("TEST06",),
    ),
    "llama3.1-8b-edge": Benchmark(5000, _LLAMA3_EDGE, edge=True, target_latency_s=None),
    "deepseek-r1": Benchmark(
        4388, _DEEPSEEK, {"Server": (2000, 80), "Interactive": (1500, 15)}, tests=("TEST06",)
    ),
    "gpt-oss-120b": Benchmark(
        6396,
        _GPT_OSS,
        {"Server": (3000, 80), "Interactive": (2000, 15)},
        accuracy_samples=4395,
        tests=("TEST07", "TEST09"),
    ),
}
_UNTIL_V60 = {
    "llama2-70b-99": _llama2(0.99),
    "llama3.1-405b": Benchmark(
        8313, _LLAMA3_405B, {"Server": (6000, 175), "Interactive": (4500, 80)}, tests=("TEST06",)
    ),
    "mixtral-8x7b": Benchmark(
        15000, _MIXTRAL, {"Server": (2000, 200)}, target_latency_s=20, tests=("TEST06",)
    ),
}

ROUNDS = {
    "v6.0": Round(
        (2465351861681999779, 14276810075590677512, 3936089224930324775), _BOTH | _UNTIL_V60
    ),
    "v6.1": Round((2085463073848966840, 2747215439041700203, 16159082839903944936), _BOTH),
}
