"""What does it cost to ask the engine through its process (`sut.serving`), and through HTTP
(`harness serve`)? Against the same engine called bare, on the same machine, in turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.bench.peers import figures
from tests.bench.questions import MODEL
from tests.bench.rows import Row, compared

ROUNDS = 5
VARIANTS = ("fp32", "bf16")
_LEAST_SAME = {"fp32": 0.98, "bf16": 0.8}  # rounding decides near ties
_LEAST_RATIO, _MOST_MS = 0.98, 1.0  # of the 95 % and 2 ms that a whole server may take
_LEAST_HTTP, _MOST_HTTP_MS = 0.95, 2.0


def rows() -> Iterable[Row]:
    for variant in VARIANTS:
        found = figures("serving_peer", MODEL, variant, ROUNDS)
        rate = found["tokens_per_s"]
        yield compared(
            f"engine of a server, {variant}, tokens/s: through its process against bare",
            rate["child"], rate["bare"], found["ratio"], f"at least {_LEAST_RATIO}x",
            found["ratio"] >= _LEAST_RATIO, "{:.1f}",
        )  # fmt: skip
        least = _LEAST_SAME[variant]
        yield Row(
            "  the same answers", f"{found['same']:.0%}", "", "", f"at least {least:.0%}",
            found["same"] >= least,
        )  # fmt: skip
        for name, what in (("drawn", "drawn, top_p 0.9"), ("logprobs", "with five logprobs")):
            ratio = rate[name] / rate["bare"]
            yield compared(f"  {what}", rate[name], rate["bare"], ratio, "", True, "{:.1f}")
        yield _first_token(found["ttft_ms"], _MOST_MS)
        yield from _over_http(variant)


def _over_http(variant: str) -> Iterable[Row]:
    found = figures("http_peer", MODEL, variant, ROUNDS)
    yield compared(
        f"harness serve, {variant}, tokens/s: through HTTP against bare"
        f" ({found['same']:.0%} of the answers are the same)",
        found["http"], found["bare"], found["ratio"], f"at least {_LEAST_HTTP}x",
        found["ratio"] >= _LEAST_HTTP, "{:.1f}",
    )  # fmt: skip
    yield _first_token(found["ttft_ms"], _MOST_HTTP_MS)


def _first_token(found: Mapping[str, float], most_ms: float) -> Row:
    return Row(
        f"  first token, one request, ms (above bare: {found['above']:.2f})",
        f"{found['other']:.1f}", f"{found['bare']:.1f}", "", f"at most {most_ms:g} ms above",
        found["above"] <= most_ms,
    )  # fmt: skip
