"""Our engine beside those that people use: tokens per second at 1, 8 and 32 concurrent requests,
same work, same threads.

    equal     as many requests as slots, 64 new tokens each: what a static batch is best at
              (generate_batch: 32, bf16 only)
    mixed     (bf16) four requests per slot, 8 to 128 new tokens in random order. A static batch
              runs to its longest member; in flight a slot is filled again at once, until nobody
              waits. That drain is part of the figure: with four requests per slot it costs about a
              tenth, and no scheduler avoids it
    served    the harness's server scenario at 70 % of what its offline scenario reached

Each engine has a process of its own and loads once; they work in turn (A B A B) and every ratio is
the median of the ratios of the rounds, so a slow minute of the machine hits both. The prompts, and
the number of tokens of each answer, are the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.bench.answering import Answers, Work
from tests.bench.peers import ROOT, Peer, figures, thread_settings
from tests.bench.questions import Questions, endless
from tests.bench.rows import Row, compared

SERVED_TOKENS = 32
DTYPES = {"bf16": "bfloat16", "fp32": "float32"}
VLLM_VENV = ROOT / ".venv-vllm"
VLLM_SETTINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "2",  # GiB
    # one process: with a front end beside it, it had half the speed on two cores
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "LD_PRELOAD": str(
        VLLM_VENV / "lib" / "libiomp5.so"
    ),  # the OpenMP library that it recommends and installs
}


class Size(NamedTuple):
    """How much work. A case is measured `rounds` times, fewer once `budget_s` is spent, but once at
    least.
    """

    variants: Sequence[str]
    slots: Sequence[int]
    equal_tokens: int
    mixed_tokens: tuple[int, int]  # shortest, longest
    requests_per_slot: int
    batch_tokens: int  # beside generate_batch
    served_queries: int
    rounds: int
    budget_s: float


FULL = Size(("bf16", "fp32"), (1, 8, 32), 64, (8, 128), 4, 32, 100, 2, 8.0)
QUICK = Size(("bf16",), (1, 4), 8, (4, 16), 2, 4, 20, 1, 0.0)


def rows(size: Size = FULL) -> Iterator[Row | str]:
    start = time.perf_counter()
    bytes_per_s = figures("stream_peer")["bytes_per_s"]
    with endless() as path:
        questions = Questions(path)
        for variant in size.variants:
            for slots in size.slots:
                yield from _beside_transformers(
                    Case(path, questions, variant, slots, size), bytes_per_s
                )
        yield _served(figures("server_peer", path, "bf16", size.served_queries, SERVED_TOKENS))
    yield (
        f"generation: x8 is 8 requests at once; {thread_settings()} for all;"
        f" {time.perf_counter() - start:.0f} s"
    )


def vllm_rows(size: Size = FULL) -> Iterator[Row | str]:
    if not (VLLM_VENV / "bin" / "python").exists():
        yield (
            "vllm: skipped, it has no virtual environment of its own here; make bench-vllm sets one"
            " up (3.4 GB)"
        )
        return
    with endless() as path:
        questions = Questions(path)
        for slots in size.slots:
            yield from _beside_vllm(Case(path, questions, "bf16", slots, size))
    shown = " ".join(
        f"{name}={value.replace(f'{ROOT}/', '')}" for name, value in VLLM_SETTINGS.items()
    )
    yield f"vllm: {thread_settings()} for both, for vLLM also {shown}"


class Case(NamedTuple):
    path: Path
    questions: Questions
    variant: str
    slots: int
    size: Size

    @property
    def name(self) -> str:
        return f"{self.variant} x{self.slots}"

    @property
    def equal(self) -> Work:
        return self.questions.equal(self.slots, self.size.equal_tokens)

    @property
    def mixed(self) -> Work:
        return self.questions.mixed(
            self.slots * self.size.requests_per_slot, *self.size.mixed_tokens
        )

    def ours(self) -> Peer:
        return Peer("ours_peer", self.path, self.variant, self.slots)

    def transformers(self, way: str) -> Peer:
        return Peer("transformers_peer", way, self.path, DTYPES[self.variant], self.slots)

    def vllm(self) -> Peer:
        python = str(VLLM_VENV / "bin" / "python")
        return Peer(
            "vllm_peer",
            self.path,
            DTYPES[self.variant],
            self.slots,
            python=python,
            env=VLLM_SETTINGS,
        )


def _beside_transformers(case: Case, bytes_per_s: float) -> Iterator[Row]:
    with case.ours() as ours:
        with case.transformers("generate") as generate:
            yield from _beside_generate(case, ours, generate, bytes_per_s)
        if case.variant == "bf16":
            yield _beside_generate_batch(case, ours)


def _beside_generate(case: Case, ours: Peer, generate: Peer, bytes_per_s: float) -> Iterator[Row]:
    equal = _in_turn(case.size, (ours, case.equal), (generate, case.equal))
    yield _row(f"generate, {case.name}, equal, tokens/s", equal, 1.0)
    if case.variant == "fp32":
        yield _same_answers(equal)
    if case.slots == 1:
        yield _limit(equal.rate(0), generate.facts["weights_bytes"], bytes_per_s)
    if case.slots == 1 or case.variant == "fp32":  # minutes, and the scheduler is the same
        return
    mixed = _in_turn(case.size, (ours, case.mixed), (generate, case.mixed), (ours, case.equal))
    yield _row(f"generate, {case.name}, mixed, tokens/s", mixed, 1.6)
    yield _row(f"ours, {case.name}: mixed, equal", mixed, 0.9, peer=2)


def _beside_generate_batch(case: Case, ours: Peer) -> Row:
    work = case.questions.equal(case.slots, case.size.batch_tokens)
    with case.transformers("generate_batch") as generate_batch:
        measured = _in_turn(case.size, (ours, work), (generate_batch, work))
    return _row(f"generate_batch, {case.name}, equal, tokens/s", measured, 5.0)


def _beside_vllm(case: Case) -> Iterator[Row]:
    with case.ours() as ours, case.vllm() as vllm:
        equal = _in_turn(case.size, (ours, case.equal), (vllm, case.equal))
        yield _row(f"vLLM, {case.name}, equal, tokens/s", equal, 1.0, moonshot=True)
        if case.slots > 1:
            mixed = _in_turn(case.size, (ours, case.mixed), (vllm, case.mixed))
            yield _row(f"vLLM, {case.name}, mixed, tokens/s", mixed, 1.0, moonshot=True)


# ---- measuring


class Measured(NamedTuple):
    """Tokens per second by round and peer, and what was answered last."""

    rounds: list[list[float]]
    answers: list[Answers]

    def rate(self, peer: int) -> float:
        return median(rates[peer] for rates in self.rounds)

    def ratio(self, peer: int) -> float:
        return median(rates[0] / rates[peer] for rates in self.rounds)


def _in_turn(size: Size, *cases: tuple[Peer, Work]) -> Measured:
    for peer, work in cases:
        peer(_first_tokens(work))
    start = time.perf_counter()
    rounds: list[list[float]] = []
    while not rounds or (len(rounds) < size.rounds and time.perf_counter() - start < size.budget_s):
        answers = [_after_a_pause(peer, work) for peer, work in cases]
        rounds.append(
            [
                sum(work.new_tokens) / done.seconds
                for (_, work), done in zip(cases, answers, strict=True)
            ]
        )
    return Measured(rounds, answers)


def _after_a_pause(peer: Peer, work: Work) -> Answers:
    """The threads of the peer before may still spin: Intel's OpenMP lets them for 200 ms."""
    time.sleep(0.3)
    return peer(work)


def _first_tokens(work: Work) -> Work:
    """Warm-up: every shape of prompt once, two tokens each."""
    return work._replace(new_tokens=[2] * len(work.new_tokens))


def _row(
    what: str, measured: Measured, target: float, peer: int = 1, moonshot: bool = False
) -> Row:
    ratio = measured.ratio(peer)
    aim = f"{target:.1f}x: moonshot" if moonshot else f"at least {target:.1f}x"
    met = moonshot or ratio >= target
    return compared(what, measured.rate(0), measured.rate(peer), ratio, aim, met, "{:.1f}")


def _same_answers(measured: Measured) -> Row:
    """For the reader: both are greedy. Left padding moves fp32's last bits, which may turn a near
    tie.
    """
    ours, theirs = (answers.ids for answers in measured.answers)
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    return Row("  same answers, token for token", f"{same} of {len(ours)}", "", "", "", True)


def _limit(rate: float, weights_bytes: int, bytes_per_s: float) -> Row:
    """Each token reads all weights once."""
    limit = bytes_per_s / weights_bytes
    what = f"  limit: {weights_bytes / 1e6:.0f} MB a token at {bytes_per_s / 1e9:.1f} GB/s"
    return compared(what, rate, limit, rate / limit, "", True, "{:.1f}")


def _served(found: dict[str, float]) -> Row:
    p50, p99 = found["tpot_p50_ms"], found["tpot_p99_ms"]
    what = f"bf16, server at {found['qps']:.1f}/s: TPOT p99, p50, ms"
    return compared(what, p99, p50, p99 / p50, "at most 2x", p99 <= 2 * p50, "{:.1f}")
