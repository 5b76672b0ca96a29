"""What does the server say of itself at /metrics? vLLM's names, so that what reads vLLM reads this.

Prometheus' text format: counters, gauges and histograms of everything since the start.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from sut.serving.messages import Info, State

_SHORT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LONG_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_MOST_NAMES = 100  # of ignored fields: clients may send any
_TOO_MANY = 429
FINISHES = ("stop", "length", "abort", "error")


class Histogram:
    """How many values were at most so large, all of them, and their sum."""

    def __init__(self, borders: tuple[float, ...]) -> None:
        self.borders, self.sum = borders, 0.0
        self.counts = [0] * (len(borders) + 1)

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.borders, value)] += 1
        self.sum += value


class Metrics:
    """What was counted so far. Durations are in seconds."""

    def __init__(self, name: str, info: Info) -> None:
        self._labels, self._info = {"model_name": name}, info
        self.prompt_tokens = self.generation_tokens = self.rejected = 0
        self.finished: Counter[str] = Counter(dict.fromkeys(FINISHES, 0))
        self.ignored: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()  # requests for answers, by status; 429 is `rejected`
        self.first_s, self.between_s = Histogram(_SHORT_S), Histogram(_SHORT_S)
        self.per_token_s, self.whole_s = Histogram(_SHORT_S), Histogram(_LONG_S)
        self.queue_s = Histogram(_LONG_S)

    def ignore(self, names: Iterable[str]) -> None:
        """Count fields that were sent and not followed."""
        for name in names:
            is_new = name not in self.ignored and len(self.ignored) >= _MOST_NAMES
            self.ignored["others" if is_new else name] += 1

    def refuse(self, status: int) -> None:
        """Count a request that gets no answer."""
        if status != _TOO_MANY:
            self.refused[str(status)] += 1

    def text(self, state: State, open_requests: int) -> str:
        """Return all of it as Prometheus reads it."""
        return "\n".join(self._lines(state, open_requests)) + "\n"

    def _lines(self, state: State, open_requests: int) -> Iterator[str]:
        waiting = max(0, open_requests - state.running)
        yield from self._plain("num_requests_running", "gauge", state.running)
        yield from self._plain("num_requests_waiting", "gauge", waiting)
        yield from self._plain("kv_cache_usage_perc", "gauge", state.cache_use)
        yield from self._plain("prompt_tokens_total", "counter", self.prompt_tokens)
        yield from self._plain("generation_tokens_total", "counter", self.generation_tokens)
        yield from self._plain("num_preemptions_total", "counter", 0)
        yield from self._plain("prefix_cache_queries_total", "counter", 0)
        yield from self._plain("prefix_cache_hits_total", "counter", 0)
        yield from self._by("request_success_total", "finished_reason", self.finished)
        for name, values in (
            ("time_to_first_token_seconds", self.first_s),
            ("inter_token_latency_seconds", self.between_s),
            ("request_time_per_output_token_seconds", self.per_token_s),
            ("e2e_request_latency_seconds", self.whole_s),
            ("request_queue_time_seconds", self.queue_s),
        ):
            yield from self._histogram(f"vllm:{name}", values)
        yield from self._cache()
        yield "# TYPE touchstone:requests_rejected_total counter"
        yield f"touchstone:requests_rejected_total{_braces(self._labels)} {self.rejected}"
        yield from self._by("ignored_fields_total", "field", self.ignored, "touchstone")
        yield from self._by("requests_refused_total", "status", self.refused, "touchstone")

    def _plain(self, name: str, kind: str, value: float) -> Iterator[str]:
        yield f"# TYPE vllm:{name} {kind}"
        yield f"vllm:{name}{_braces(self._labels)} {value}"

    def _by(
        self, name: str, label: str, values: Mapping[str, int], prefix: str = "vllm"
    ) -> Iterator[str]:
        yield f"# TYPE {prefix}:{name} counter"
        for key, value in sorted(values.items()):
            yield f"{prefix}:{name}{_braces({**self._labels, label: key})} {value}"

    def _histogram(self, name: str, values: Histogram) -> Iterator[str]:
        yield f"# TYPE {name} histogram"
        total = 0
        borders = [*(f"{border:g}" for border in values.borders), "+Inf"]
        for border, count in zip(borders, values.counts, strict=True):
            total += count
            yield f"{name}_bucket{_braces({**self._labels, 'le': border})} {total}"
        yield f"{name}_sum{_braces(self._labels)} {values.sum}"
        yield f"{name}_count{_braces(self._labels)} {total}"

    def _cache(self) -> Iterator[str]:
        facts = {
            "cache_bytes": self._info.cache_bytes,
            "max_num_seqs": self._info.max_rows,
            "max_model_len": self._info.max_len,
            "dtype": self._info.dtype,
            "enable_prefix_caching": False,
        }
        labels = {**self._labels, **{key: str(value) for key, value in facts.items()}}
        yield "# TYPE vllm:cache_config_info gauge"
        yield f"vllm:cache_config_info{_braces(labels)} 1"


def _braces(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}"


def _escaped(value: str) -> str:
    return re.sub(r'[\\"]', r"\\\g<0>", value).replace("\n", r"\n")
