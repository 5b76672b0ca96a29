"""`make bench`: the harness beside its peers, in one run, on this machine. Every figure is a
median, every claim a ratio.

    driver    against the official LoadGen (wheel mlcommons-loadgen), a null SUT in both, each case
              in a process of its own, ours and theirs in turn
    channel   round trips between driver and SUT process
    schedule  making a million server queries, against the same generator as a plain Python loop
    memory    bytes that the recorder keeps per sample and per token; a million samples written,
              read and summarised
    logs      LoadGen's three log files of a million samples of eight tokens
    engine    the 135M model behind the harness (process, channel, driver) against the same engine
              called bare
    rouge     ROUGE of 220-word answers against the package rouge-score, the same pairs, every
              figure equal
    scoring   losses of given texts against the bare forward pass and lm-eval (`LM_EVAL=FOLDER` says
              where that is)
    likelihood  losses of given texts against a bare forward pass in batches of its best size, also
                on a GPU
    generation  the engine against transformers' generate and generate_batch, at 1, 8 and 32
                requests at once
    serving   the engine of `harness serve` through its process, and through HTTP, against the same
              engine called bare
    prefill   prompts of mixed lengths, packed and in groups, against padding to the longest
    stepping  what the engine takes for a step where the model takes nothing, ahead and in turn
    served    the client's workers against wrk, h2load and Python's clients, on one loopback; their
              stamps against the golden server's
    sweep     what a sweep of a thousand cells costs beside its runs, and its page
    doubts    how often clean runs are doubted, and shaky ones (on request)
    vllm      the engine against vLLM, which has a virtual environment of its own: `make bench-vllm`
    gpu       every engine on one GPU, by itself: `make bench-gpu` (`tests.bench.gpu.command`)

`python -m tests.bench driver memory` runs some of them, without a name all but vllm; `--quick`
makes likelihood, generation and vllm a matter of a minute, for trying them out. Exit code 1 if a
target is missed.
"""

from __future__ import annotations

import math
import os
import random
import statistics
import sys
import tempfile
import time
import tracemalloc
from array import array
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.bench import (
    comparing,
    doubts,
    generation,
    likelihood,
    prefill,
    rouge,
    scoring,
    served,
    serving,
    stepping,
    sweep,
)
from tests.bench.peers import figures
from tests.bench.rows import Row, compared

ROUNDS = 5
T = TypeVar("T")
LADDER = (
    150_000,
    200_000,
    250_000,
    300_000,
    350_000,
    400_000,
    450_000,
    500_000,
    550_000,
    600_000,
    700_000,
    800_000,
)


def driver() -> Iterable[Row]:
    ours, theirs = _in_turn("single-stream", 0, 2.0, "rate")
    yield compared(
        "single-stream, queries/s",
        ours,
        theirs,
        ours / theirs,
        "at least 2x",
        ours >= 2 * theirs,
        "{:,.0f}",
    )
    long = figures("driver_peer", "single-stream", 0, 2.0)["rate_long"]
    yield compared(
        "  the same over 800,000 queries", long, theirs, long / theirs, "", True, "{:,.0f}"
    )
    ours, theirs = _highest_held("driver_peer"), _highest_held("loadgen_peer")
    yield compared(
        "server, highest rate held at 99 %",
        ours,
        theirs,
        ours / theirs,
        "at least 1.3x",
        ours >= 1.3 * theirs,
        "{:,.0f}",
    )
    for qps in (1_000, 10_000):
        ours, theirs = _in_turn("server", qps, 3.0, "latency_p50_us")
        what = f"server at {qps:,}/s, p50 from due to done, us"
        yield compared(
            what, ours, theirs, ours / theirs, "at most 0.5x", ours <= 0.5 * theirs, "{:.1f}"
        )


def channel() -> Iterable[Row]:
    from harness.doctor import single_stream
    from harness.kernel.clock import RealClock
    from sut.border.isolated import Isolated

    with tempfile.TemporaryDirectory() as scratch:
        clock = RealClock()
        sut = Isolated(clock, "sut.null:Null", {}, Path(scratch) / "sut.log")
        single_stream(clock, sut, 5_000)
        rates = []
        for _ in range(ROUNDS):
            log = single_stream(clock, sut, 20_000)
            rates.append(len(log) / (float(log.done_ns[-1]) / 1e9))
        trip_us = sut.ping_us(3000)
        sut.close()
    rate, bare = statistics.median(rates), _bare_pipe()
    yield compared(
        "channel, single-stream round trips/s",
        rate,
        bare,
        rate / bare,
        "at least 15,000/s",
        rate >= 15_000,
        "{:,.0f}",
    )
    yield Row("channel, median round trip of a ping, us", f"{trip_us:.1f}", "", "", "", True)


def memory() -> Iterable[Row]:
    n = 20_000
    short, long = _kept_bytes(n, 10) / n, _kept_bytes(n, 110) / n
    per_token = (long - short) / 100
    per_sample = short - 10 * per_token
    yield Row(
        "bytes kept per sample", f"{per_sample:.0f}", "", "", "at most 200", per_sample <= 200
    )
    yield Row("bytes kept per token", f"{per_token:.2f}", "", "", "at most 8", per_token <= 8)
    seconds = _million()
    yield Row(
        "a million samples written, read, summarised, s",
        f"{seconds:.1f}",
        "",
        "",
        "under 10",
        seconds < 10,
    )


def schedule() -> Iterable[Row]:
    ours, plain = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        fast = _our_schedule()
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        slow = _plain_schedule()
        plain.append(time.perf_counter() - start)
    assert (
        fast.indices.ravel().tolist(),
        fast.offsets_ns.tolist(),
    ) == slow, "both must be LoadGen's"
    a, b = statistics.median(ours), statistics.median(plain)
    yield compared(
        "a million server queries scheduled, s: ours, plain loop",
        a,
        b,
        a / b,
        "at most 0.2x",
        a <= 0.2 * b,
        "{:.3f}",
    )


def logs() -> Iterable[Row]:
    from reports.mlperf import files as mlperf_logs
    from scenarios.loadgen import results as loadgen_results

    log, settings, header = _million_answers()
    results_s, found = _timed(lambda: loadgen_results.results(log, settings))
    pages_s, pages = _timed(lambda: _pages(header, settings, found, log))
    some_s, some = _timed(lambda: _answers(log, replace(settings, accuracy_log_probability=0.05)))
    all_s, every = _timed(lambda: _answers(log, replace(settings, accuracy_log_probability=2.0)))
    with tempfile.TemporaryDirectory() as scratch:
        texts = {**pages, mlperf_logs.ACCURACY: every}
        write_s, _ = _timed(lambda: mlperf_logs.write(Path(scratch), header, texts))
    total_s, pages_mb = results_s + pages_s + all_s + write_s, sum(map(len, pages.values())) / 1e6
    yield Row("logs of a million samples: results, s", f"{results_s:.2f}", "", "", "", True)
    yield Row(f"  detail and summary ({pages_mb:.1f} MB), s", f"{pages_s:.3f}", "", "", "", True)
    yield Row(
        f"  answers, 5 % logged ({len(some) / 1e6:.0f} MB), s", f"{some_s:.2f}", "", "", "", True
    )
    yield Row(
        f"  answers, all logged ({len(every) / 1e6:.0f} MB), s", f"{all_s:.2f}", "", "", "", True
    )
    yield Row("  writing the three files, all logged, s", f"{write_s:.2f}", "", "", "", True)
    yield Row(
        "  log writing time per million samples, s",
        f"{total_s:.1f}",
        "",
        "",
        "under 6",
        total_s < 6,
    )


def engine() -> Iterable[Row]:
    bare, served = [], []
    for _ in range(ROUNDS):
        bare.append(_tokens_per_s("bare"))
        served.append(_tokens_per_s("served"))
    ratio = statistics.median(s / b for s, b in zip(served, bare, strict=True))
    yield compared(
        "SmolLM2-135M, offline, bf16, tokens/s: served against bare",
        statistics.median(served), statistics.median(bare), ratio, "at least 0.98x", ratio >= 0.98,
        "{:.1f}",
    )  # fmt: skip


PARTS: dict[str, Callable[[], Iterable[Row | str]]] = {
    "driver": driver,
    "channel": channel,
    "memory": memory,
    "schedule": schedule,
    "logs": logs,
    "engine": engine,
    "rouge": rouge.rows,
    "scoring": scoring.rows,
    "likelihood": likelihood.rows,
    "generation": generation.rows,
    "serving": serving.rows,
    "vllm": generation.vllm_rows,
    "served": served.served,
    "prefill": prefill.rows,
    "stepping": stepping.rows,
    "sweep": sweep.rows,
    "compare": comparing.rows,
    "doubts": doubts.rows,
}
QUICK = {
    "sweep": partial(sweep.rows, sweep.QUICK),
    "compare": comparing.quick,
    "doubts": partial(doubts.rows, 50),
    "likelihood": partial(likelihood.rows, likelihood.QUICK),
    "generation": partial(generation.rows, generation.QUICK),
    "vllm": partial(generation.vllm_rows, generation.QUICK),
}
ON_REQUEST = {"vllm", "compare"}
ON_REQUEST = {"vllm", "doubts"}


def main() -> int:
    if sys.argv[1:2] == ["gpu"]:
        from tests.bench.gpu.command import main as on_a_gpu

        return on_a_gpu(sys.argv[2:])
    arguments = [word for word in sys.argv[1:] if word != "--quick"]
    parts = PARTS | (QUICK if "--quick" in sys.argv else {})
    console = Console()
    table = Table(
        title="Touchstone beside its peers", title_justify="left", box=None, pad_edge=False
    )
    for column in ("", "what", "ours", "peer", "ratio", "target"):
        table.add_column(column, justify="left" if column in ("", "what", "target") else "right")
    missed, notes = 0, []
    for name in arguments or [name for name in parts if name not in ON_REQUEST]:
        with console.status(f"measuring: {name}"):
            for row in parts[name]():
                if not console.is_terminal:  # minutes of work: what is known is said at once
                    print(
                        row if isinstance(row, str) else "  ".join(row[:5]),
                        file=sys.stderr,
                        flush=True,
                    )
                if isinstance(row, str):
                    notes.append(row)
                    continue
                missed += not row.met
                table.add_row("ok" if row.met else "MISSED", *row[:5])
    console.print(table)
    for note in notes:
        console.print(note, soft_wrap=True)
    console.print(
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f} at the end; medians of up"
        f" to {ROUNDS} rounds"
    )
    return 1 if missed else 0


def _in_turn(scenario: str, qps: float, seconds: float, key: str) -> tuple[float, float]:
    """Medians of ours and theirs, measured alternately."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(figures("driver_peer", scenario, qps, seconds)[key])
        theirs.append(figures("loadgen_peer", scenario, qps, seconds)[key])
    return statistics.median(ours), statistics.median(theirs)


def _highest_held(module: str) -> float:
    """Climb the ladder; a rung counts if two of three tries achieve 99 % of the scheduled rate."""
    best = 0.0
    for qps in LADDER:
        tries = sorted(figures(module, "server", qps, 1.5)["held"] for _ in range(3))
        if tries[1] < 0.99:
            break
        best = qps
    return best


def _bare_pipe(trips: int = 20_000) -> float:
    """Round trips a second of twenty bytes over two pipes between two processes: the floor under
    any channel.
    """
    there, here_w = os.pipe()
    here, there_w = os.pipe()
    pid = os.fork()
    if pid == 0:
        for _ in range(trips):
            os.write(there_w, os.read(there, 64))
        os._exit(0)
    start = time.perf_counter()
    for _ in range(trips):
        os.write(here_w, b"x" * 20)
        os.read(here, 64)
    seconds = time.perf_counter() - start
    os.waitpid(pid, 0)
    return trips / seconds


def _kept_bytes(samples: int, tokens: int) -> int:
    """What the recorder holds after `samples` samples of `tokens` tokens each."""
    from harness.engine.recorder import Recorder
    from harness.kernel.clock import VirtualClock
    from harness.kernel.types import AfterInFlight, Output, Query, QuerySample

    gate = AfterInFlight(1)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    recorder = Recorder(VirtualClock())
    for i in range(samples):
        recorder.issue(Query(i, (QuerySample(i, 0),), gate), i, i)
        if tokens:
            recorder.first_token(i, 7)
            for k in range(tokens - 1):
                recorder.tokens(i, (k,))
        recorder.complete(Output(i))
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert recorder.num_done == samples
    return kept


def _million() -> float:
    """Seconds to write a million samples of four tokens, read them and summarise every latency."""
    from harness.engine import runlog
    from harness.engine.recorder import Recorder
    from harness.kernel.clock import VirtualClock
    from harness.kernel.stats import summary_ms
    from harness.kernel.types import AfterInFlight, Output, Query, QuerySample

    clock, gate, ids = VirtualClock(), AfterInFlight(1), array("i", (5, 6, 7))
    recorder = Recorder(clock)
    for i in range(1_000_000):
        recorder.issue(Query(i, (QuerySample(i, i % 200),), gate), clock.now_ns(), clock.now_ns())
        recorder.first_token(i, 4)
        clock.advance(1000)
        recorder.tokens(i, ids)
        recorder.complete(Output(i))
    with tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        runlog.write_log(Path(scratch), recorder.log(0, "completed"), runlog.RunFacts("bench", ""))
        log, _ = runlog.read_log(Path(scratch))
        for values in (log.ttft_ns, log.tpot_ns, log.latency_ns, log.issue_lag_ns, log.stamp_ns):
            summary_ms(values)
        return time.perf_counter() - start


QPS, LIBRARY, QUERIES = 1500.25, 13368, 1_000_000


def _our_schedule() -> Any:
    from harness.doctor import IDLE_SETTINGS
    from harness.options.profiles import SEEDS
    from scenarios.server import Server

    settings = replace(
        IDLE_SETTINGS, scenario="server", seeds=SEEDS["v6.1"], num_samples=LIBRARY,
        performance_samples=LIBRARY, target_qps=QPS, min_queries=QUERIES,
    )  # fmt: skip
    return Server().schedule(settings)


def _plain_schedule() -> tuple[list[int], list[int]]:
    """The same by the book: one draw at a time, with Python's own mt19937 (seeded as C++ seeds
    it).
    """
    from harness.options.profiles import SEEDS

    def stream(seed: int) -> Callable[[], int]:
        words = [seed % 2**32]
        for i in range(1, 624):
            words.append((1812433253 * (words[-1] ^ words[-1] >> 30) + i) % 2**32)
        generator = random.Random()
        generator.setstate((3, (*words, 624), None))
        return lambda: generator.getrandbits(32)

    def below(word: Callable[[], int], n: int) -> int:
        floor = (2**32 - n) % n
        while (product := word() * n) % 2**32 < floor:
            pass
        return product >> 32

    def shuffle(word: Callable[[], int], items: list[int]) -> None:
        i = 1
        if len(items) % 2 == 0:
            j = below(word, 2)
            items[1], items[j] = items[j], items[1]
            i = 2
        while i < len(items):
            first, second = divmod(below(word, (i + 1) * (i + 2)), i + 2)
            items[i], items[first] = items[first], items[i]
            items[i + 1], items[second] = items[second], items[i + 1]
            i += 2

    seeds = SEEDS["v6.1"]
    loaded = list(range(LIBRARY))
    shuffle(stream(seeds.qsl), loaded)
    which, when = stream(seeds.sample_index), stream(seeds.schedule)
    shuffle(which, list(range(LIBRARY)))
    rounds = list(range(LIBRARY))
    for _ in range(-(-QUERIES // LIBRARY)):
        shuffle(which, rounds)
    indices, offsets, now = [], [], 0
    for _ in range(QUERIES):
        indices.append(loaded[below(which, LIBRARY)])
        offsets.append(now)
        u = (when() + when() * 2.0**32) / 2.0**64
        now += int(-math.log(1.0 - u) / QPS * 1e9)
    return indices, offsets


def _million_answers() -> tuple[Any, Any, Any]:
    """A server run of a million samples of eight tokens, made from thin air: (log, settings, header
    of its logs).
    """
    from harness.doctor import IDLE_SETTINGS
    from harness.kernel.log import RunLog
    from reports.mlperf.files import Header

    n, tokens, draw = 1_000_000, 8, np.random.default_rng(1)
    ids = draw.integers(0, 49_152, n * tokens).astype(np.int32)
    due_ns = np.cumsum(draw.integers(0, 1_000_000, n))
    first_ns = due_ns + draw.integers(10_000_000, 100_000_000, n)
    done_ns = first_ns + draw.integers(10_000_000, 100_000_000, n)
    each, starts = np.arange(n, dtype=np.int32), np.arange(0, n * tokens + 1, tokens)
    log = RunLog(
        query_id=each, index=each % LIBRARY, due_ns=due_ns, issued_ns=due_ns + 1_000,
        first_ns=first_ns, done_ns=done_ns, first_token=ids[::tokens].copy(),
        reported_tokens=np.full(n, -1, np.int32), finish=np.ones(n, np.int8), token_start=starts,
        token_ids=ids, stamp_start=np.zeros(n + 1, np.int64), stamp_ns=np.empty(0, np.int64),
        completion_order=np.argsort(done_ns).astype(np.int32),
    )  # fmt: skip
    settings = replace(
        IDLE_SETTINGS, scenario="server", num_samples=LIBRARY, performance_samples=LIBRARY,
        target_qps=2_000.0, min_queries=n, use_tokens=True, percentile=0.99,
    )  # fmt: skip
    header = Header(
        "bench", "touchstone", "bench", "bench", LIBRARY, LIBRARY, "2026-11-20T10:00:00+00:00"
    )
    return log, settings, header


def _pages(header: Any, settings: Any, found: Any, log: Any) -> dict[str, str]:
    """The detail log and the summary. (The schedule, which is made again for them, has a row of its
    own.)
    """
    from reports.mlperf import files as mlperf_logs
    from scenarios.loadgen import settings as names
    from scenarios.loadgen.sample_order import LoadedSet

    sets = [LoadedSet(list(range(LIBRARY)), len(log), 1, int(log.due_ns[-1]))]
    said = mlperf_logs.Settings(
        names.requested(settings), names.effective_lines(settings), names.parameters(settings)
    )
    return {
        mlperf_logs.DETAIL: mlperf_logs.detail(header, said, sets, found, log),
        mlperf_logs.SUMMARY: mlperf_logs.summary(header, said, found),
    }


def _answers(log: Any, settings: Any) -> str:
    """Which answers to log, and their text."""
    from reports.mlperf import files as mlperf_logs
    from scenarios.loadgen import accuracy_log

    return mlperf_logs.accuracy(
        log, accuracy_log.logged_samples(log, settings).tolist(), True, True
    )


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    """Median seconds, and what it made."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        made = work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), made


def _tokens_per_s(way: str) -> float:
    return figures("engine_peer", way)["tokens_per_s"]


if __name__ == "__main__":
    sys.exit(main())
