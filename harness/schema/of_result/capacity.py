"""What does a run say of goodput, of users, and (a search) of the capacity it found?"""

from __future__ import annotations

from harness.schema.of_result.search import FOUND
from harness.schema.parts import choice, maybe, number, record, whole

_SHARE = {
    "value": maybe(number("The share.", "of 1")),
    "low": maybe(number("Lower end of its 95 % interval.", "of 1")),
    "high": maybe(number("Upper end.", "of 1")),
}
_METRICS = ("ttft", "tpot", "latency")
_LIMITS = ("ttft_ms", "tpot_ms", "latency_ms")

GOODPUT = record(
    "Requests that kept every objective of --slo, or else every limit that is judged; missing "
    "where there are neither.",
    {
        "slo": record("The objectives, as limits of each request.", {
            name: number("Limit.", "ms") for name in _LIMITS
        }, optional=_LIMITS),
        "origin": choice("Who set them.", "--slo", "the limits that are judged"),
        "requests_per_s": maybe(record("Requests that kept all of them.", {
            "value": number("Per second of the run.", "1/s"),
            "low": number("Lower end of its 95 % interval.", "1/s"),
            "high": number("Upper end.", "1/s"),
        })),
        "share": record("Share of all requests, those that failed included.", _SHARE),
        "tokens_per_s": maybe(number("Output tokens of the requests that kept them.", "tokens/s")),
        "kept": whole("Requests that kept all of them.", "requests"),
        "n": whole("Requests.", "requests"),
        "share_by": record("Share of the requests that kept each.", {
            name: number("Share.", "of 1") for name in _METRICS
        }, optional=_METRICS),
    },
)  # fmt: skip

CAPACITY = record(
    "Users (requests open at once) of an open-loop run, by Little's law; missing elsewhere.",
    {
        "users": record("Mean number of requests open at once.", {
            "value": number("Mean.", "requests"),
            "low": number("Lower end of its 95 % interval, by batch means.", "requests"),
            "high": number("Upper end.", "requests"),
        }),
        "tpot_ms": maybe(number("Mean time per output token.", "ms")),
        "tokens_per_s_per_user": maybe(number("Output tokens of one user.", "tokens/s")),
        "latency_ms": number("Mean latency of completed requests.", "ms"),
        "queries_per_s": number("Completed requests.", "1/s"),
        "peak": FOUND,
    },
    optional=("peak",),
)  # fmt: skip
