"""What does the official LoadGen say of the same SUT? Its wheel as the driver, at arm's length.

The wheel runs in a process of its own (`harness.official.child`): it may crash or wait for ever,
and our results must not go with it. SUT, clock and recorder stay here. LoadGen's queries come
through a socket that is read inside `clock.wait`, just as a SUT's events are; the recorder writes
every event down and relays first tokens and completions.

    relay = Relay(clock, settings)      # a Recorder
    sut.load(samples, relay)
    log = drive(settings, sut, clock, relay, folder)
    figures = official_results(folder)

Latency in LoadGen's logs counts from its own schedule and includes the way through the socket. Ours
counts from the arrival of the query; in the server scenario from its place in the schedule
(`offsets_ns`, counted from the first arrival), so that a LoadGen that falls behind shows as issue
lag.

What would upset the wheel is kept from it, and `Relay.repairs` says so: an answer without a first
token (which can crash it) gets one, a failed or lost sample (for which it waits for ever) is
answered with nothing, a second completion is dropped.
"""

from __future__ import annotations

import json
import math
import re
import signal
import socket
import subprocess
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import scenarios
from harness.engine.driver import Stop, quiet
from harness.engine.recorder import Recorder
from harness.engine.timeouts import Timeouts
from harness.kernel import children
from harness.kernel.clock import FAR_FUTURE_NS, RealClock
from harness.kernel.errors import BadInput, HarnessError, RunBroke, SetupFailed
from harness.kernel.protocols import SUT, Clock
from harness.kernel.types import NEVER, At, Output, Query, QuerySample, RunLog, RunSettings
from harness.official.child import EVENT, FIRST, FLUSH, OVER, RECEIVE_BYTES, WORD
from scenarios.loadgen import settings as loadgen_settings

_DETAIL = "mlperf_log_detail.txt"
LOGS = ("mlperf_log_summary.txt", _DETAIL, "mlperf_log_accuracy.json")
_TRACE = "mlperf_log_trace.json"  # LoadGen makes one even if told not to trace
_WORDS = "loadgen.log"  # what the wheel's process printed, if anything
_LEAVE_TIMEOUT_S = 5.0
_RETRY_NS = 1_000_000
_SILENCE_NS = (
    120_000_000_000  # of LoadGen with nothing open; generating and writing its logs take seconds
)
_LONGEST_GAP = 30.0  # of mean gaps: a Poisson process exceeds it once in e^30 arrivals
_KEPT = "What had completed is kept."
_RELEASED = At(0)  # LoadGen has done the waiting
_LINE = re.compile(
    r':::MLLOG \{"key": "(?P<key>[^"]*)", "value": (?P<value>.*), "time_ms": (?P<meta>.*)$'
)
_FIGURES = (
    "loadgen_version", "sut_name", "effective_", "generated_", "early_stopping_", "result_",
    "num_errors",
)  # fmt: skip
_OURS = "touchstone_run_id"
_RENAMED = {
    "test_mode": "mode",
    "server_ttft_latency": "ttft_latency",
    "server_tpot_latency": "tpot_latency",
}


def require_wheel() -> None:
    """Raises SetupFailed if the official LoadGen is not installed."""
    if find_spec("mlperf_loadgen") is None:
        raise SetupFailed(
            "the official LoadGen",
            "its wheel is not installed",
            "it exists for Linux on x86-64",
            "Install it with: pip install 'touchstone-harness[mlcommons]'.",
        )


def test_settings(settings: RunSettings) -> dict[str, Any]:
    """Attributes of the wheel's TestSettings: what `requested_*` lines report, under the names of
    its Python binding.
    """
    lines = loadgen_settings.requested(settings)
    wanted = {key.removeprefix("requested_"): value for key, value in lines.items()}
    wanted = {_RENAMED.get(key, key): value for key, value in wanted.items()}
    for stream in ("single_stream_expected_latency_ns", "multi_stream_expected_latency_ns"):
        if stream in wanted:
            wanted[stream] = _latency_ns(settings.target_qps)
    if settings.inferred_tokens_per_sample is not None:
        factor = settings.inferred_tokens_per_sample
        wanted |= {"infer_token_latencies": True, "token_latency_scaling_factor": factor}
    return wanted


test_settings.__test__ = False  # type: ignore[attr-defined]  # pytest goes by names


def _latency_ns(qps: float) -> float:
    """The latency whose inverse, which LoadGen plans with, is `qps`; or the next above, so that
    whole counts stay whole.
    """
    latency_ns = 1e9 / qps
    return latency_ns if 1e9 / latency_ns >= qps else math.nextafter(latency_ns, 0.0)


def due_offsets(settings: RunSettings, schedule: Any) -> Sequence[int]:
    """When each query of a server run is due, as `drive` wants it; nothing where LoadGen alone
    decides.
    """
    timed = scenarios.entry(settings.scenario).is_open and settings.mode == "performance"
    return schedule.offsets_ns.tolist() if timed else ()


class Relay(Recorder):
    """A Recorder whose events LoadGen hears too. Bytes for it gather in `outbox`; `drive` sends
    them.
    """

    def __init__(self, clock: Clock, settings: RunSettings) -> None:
        super().__init__(clock)
        self.outbox = bytearray()
        self._tells_first = (
            settings.use_tokens and not scenarios.entry(settings.scenario).is_at_once
        )
        self._told: set[int] = set()  # open samples whose first token LoadGen has
        self._made_up = self._empty = 0

    def first_token(self, sample_id: int, token: int) -> None:
        super().first_token(sample_id, token)
        self._tell_first(sample_id)

    def text(self, sample_id: int) -> None:
        super().text(sample_id)
        self._tell_first(sample_id)

    def _tell_first(self, sample_id: int) -> None:
        if self._tells_first and sample_id in self._streams and sample_id not in self._told:
            self._tell(sample_id, FIRST, self._streams[sample_id].ids[:1].tobytes())

    def complete(self, output: Output) -> None:
        done = self.num_done
        super().complete(output)
        if self.num_done == done:  # for the second time, or never issued: noted as an anomaly
            return
        i = output.sample_id
        failed = output.finish == "error"
        data = b"" if failed else self._ids[i]
        if self._tells_first and i not in self._told:
            self._made_up += not failed
            self._tell(i, FIRST, data[:4])
        said = self._reported[i] if output.reported_tokens is not None else NEVER
        self._empty += failed
        self._tell(i, 0 if failed else said if said != NEVER else len(data) // 4, data)
        self._told.discard(i)

    def _tell(self, sample_id: int, tokens: int, data: bytes) -> None:
        if tokens == FIRST:
            self._told.add(sample_id)
        self.outbox += EVENT.pack(sample_id, tokens, len(data)) + data

    def repairs(self) -> list[str]:
        """What LoadGen was told otherwise than it happened, in words for the report."""
        no_first = "reported no first token; LoadGen, which cannot do without, was given one "
        no_answer = "failed or were given up; LoadGen, which would wait for ever, was given "
        notes = {
            no_first + "at their completion": self._made_up,
            no_answer + "an empty answer": self._empty,
        }
        return [f"{count} sample(s) {what}" for what, count in notes.items() if count]


def drive(
    settings: RunSettings,
    sut: SUT,
    clock: Clock,
    recorder: Relay,
    folder: Path,
    offsets_ns: Sequence[int] = (),
    stop: Stop | None = None,
    on_idle: Callable[[Recorder], None] | None = None,
) -> RunLog:
    """Let the official LoadGen test `sut`, which has been loaded with `recorder` as its sink. Its
    logs go to `folder`.

    `offsets_ns`: when each query is due (a server run in performance mode). The wheel's death, its
    silence and any exception of the SUT end the run with `end == "error"`: what had completed is
    kept, LoadGen's unfinished logs get another name. Raises SetupFailed if LoadGen is missing or
    ends before its first query, BadInput if it could not run here.
    """
    require_wheel()
    _check(clock, folder)
    with quiet(), _Wheel(settings, clock, folder) as wheel:
        loop = _Loop(settings, sut, clock, recorder, offsets_ns, wheel, stop or Stop(), on_idle)
        clock.watch(wheel.socket.fileno(), loop.hear)
        try:
            loop.run()
        # a SUT may raise anything: the samples measured so far matter more
        except Exception as fault:
            if not recorder.num_issued and isinstance(fault, RunBroke):
                raise SetupFailed(*fault.facts[:2], "", f"See {folder / _WORDS}.") from None
            reason = (
                str(fault)
                if isinstance(fault, HarnessError)
                else f"the SUT raised {type(fault).__name__}: {fault}"
            )
            recorder.give_up(f"lost: {reason}")
            return recorder.log(loop.start_ns, "error", reason)
    if wheel.over:
        return recorder.log(loop.start_ns, "completed")
    return recorder.log(loop.start_ns, "interrupted", "stopped by the user (Ctrl-C)")


def _check(clock: Clock, folder: Path) -> None:
    if not isinstance(clock, RealClock):
        fine, todo = "LoadGen reads the wall clock", "Use --clock real."
        raise BadInput("--driver mlcommons", "a virtual clock", fine, todo)
    if there := [name for name in LOGS if (folder / name).exists()]:
        found, fine = f"{there[0]} is there already", "a folder without logs of a run"
        raise BadInput(f"--driver mlcommons in {folder}", found, fine)


class _Loop:
    """The driver's thread: hears LoadGen's queries, gives up on lost samples, sends what the
    recorder has to tell.
    """

    def __init__(
        self,
        settings: RunSettings,
        sut: SUT,
        clock: Clock,
        recorder: Relay,
        offsets_ns: Sequence[int],
        wheel: _Wheel,
        stop: Stop,
        on_idle: Callable[[Recorder], None] | None,
    ) -> None:
        self.settings, self.sut, self.clock, self.recorder = settings, sut, clock, recorder
        self.offsets_ns, self.wheel, self.stop, self.on_idle = offsets_ns, wheel, stop, on_idle
        self.start_ns = self._heard_ns = clock.now_ns()
        self.timeouts = Timeouts(recorder, settings.sample_timeout_ns, self.start_ns)
        gap_s = (
            _LONGEST_GAP / settings.target_qps
            if scenarios.entry(settings.scenario).is_open
            else 0.0
        )
        self._patience_ns = _SILENCE_NS + int(gap_s * 1e9)
        self._queries = 0
        self._inbox = bytearray()

    def run(self) -> None:
        """Until LoadGen is content, or the user is not."""
        give_up_ns = FAR_FUTURE_NS
        while not self.wheel.over and self.clock.now_ns() < give_up_ns:
            if self.stop.requests:
                if self.stop.requests > 1 or not self.recorder.open_samples:
                    return
                give_up_ns = min(give_up_ns, self.clock.now_ns() + self.settings.drain_timeout_ns)
            self._pause(give_up_ns)

    def _pause(self, until_ns: int) -> None:
        recorder, timeouts = self.recorder, self.timeouts
        check_ns, silent_ns = timeouts.check_ns, FAR_FUTURE_NS
        if not recorder.open_samples:
            check_ns = FAR_FUTURE_NS
            silent_ns = max(self._heard_ns, recorder.gate_ns) + self._patience_ns
        retry_ns = self.clock.now_ns() + _RETRY_NS if recorder.outbox else FAR_FUTURE_NS
        if self.on_idle is not None:
            self.on_idle(recorder)
        now = self.clock.wait(min(until_ns, check_ns, silent_ns, retry_ns))
        if now >= check_ns:
            timeouts.look(now)
        if now >= silent_ns and now >= self._heard_ns + self._patience_ns:
            raise RunBroke(
                "the official LoadGen", f"said nothing for {self._patience_ns / 1e9:g} s", "", _KEPT
            )
        self.wheel.send(recorder.outbox)

    def hear(self) -> None:
        self._inbox += self.wheel.receive()
        arrived_ns = self._heard_ns = self.clock.now_ns()
        at, end = 0, len(self._inbox)
        while at + 4 <= end:
            (count,) = WORD.unpack_from(self._inbox, at)
            size = 4 if count in (FLUSH, OVER) else 4 + 4 * count
            if at + size > end:
                break
            body = bytes(self._inbox[at + 4 : at + size])
            at += size
            if count == OVER:
                self.wheel.over = True
            elif self.stop.requests:  # LoadGen goes on asking; nobody answers
                continue
            elif count == FLUSH:
                self.sut.flush()
            else:
                self._issue(array("I", body), arrived_ns)
        del self._inbox[:at]

    def _issue(self, indices: array[int], arrived_ns: int) -> None:
        recorder, i = self.recorder, self._queries
        if not i:
            self.start_ns = recorder.gate_ns = arrived_ns
        due_ns = (
            min(arrived_ns, self.start_ns + self.offsets_ns[i])
            if i < len(self.offsets_ns)
            else arrived_ns
        )
        self._queries = i + 1
        first = recorder.num_issued
        query = Query(
            i, [QuerySample(first + k, index) for k, index in enumerate(indices)], _RELEASED
        )
        recorder.issue(query, due_ns, self.clock.now_ns())
        self.sut.issue(query)


class _Wheel:
    """The child process: starts with the block and is gone after it."""

    def __init__(self, settings: RunSettings, clock: Clock, folder: Path) -> None:
        self._clock, self._folder = clock, folder
        self.over = False  # LoadGen came to its own end and has written its logs
        self.socket, theirs = socket.socketpair()
        job = {
            "fd": theirs.fileno(),
            "settings": test_settings(settings),
            "total": settings.num_samples,
            "performance": settings.performance_samples,
            "folder": str(folder),
        }
        with theirs, (folder / _WORDS).open("wb") as words:
            self._process = subprocess.Popen(
                children.command("harness.official.child", json.dumps(job)),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                env=children.variables(),
                start_new_session=True,
            )

    def __enter__(self) -> _Wheel:
        return self

    def send(self, data: bytearray) -> None:
        """As much of `data` as the socket takes now, removed from its front. Never waits."""
        with suppress(
            OSError
        ):  # full: the rest goes with the next call; closed: `receive` will say why
            while data:
                del data[: self.socket.send(data, socket.MSG_DONTWAIT)]

    def receive(self) -> bytes:
        """Raises RunBroke at the end of the stream."""
        try:
            data = self.socket.recv(RECEIVE_BYTES)
        except OSError:
            data = b""
        if not data:
            self._clock.unwatch(self.socket.fileno())
            raise RunBroke("the official LoadGen", self._how_it_ended(), "", _KEPT)
        return data

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(_LEAVE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return "closed its connection and went on"
        how = f"ended with exit code {code}"
        if code < 0:
            how = f"ended with signal {-code} ({signal.Signals(-code).name})"
        last = (self._folder / _WORDS).read_text(errors="replace").strip().splitlines()[-1:]
        return how + (f", last words: {last[0][:300]}" if last else "")

    def __exit__(self, *_: object) -> None:
        self._clock.unwatch(self.socket.fileno())
        self._leave(_LEAVE_TIMEOUT_S if self.over else 0.0)
        self.socket.close()
        self._tidy()

    def _leave(self, timeout_s: float) -> None:
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tidy(self) -> None:
        """Logs that LoadGen did not finish get another name, so that nobody takes them for a
        result. What the folder does not let be renamed stays: the run matters more.
        """
        with suppress(OSError):
            self._rename()

    def _rename(self) -> None:
        (self._folder / _TRACE).unlink(missing_ok=True)
        for path in (self._folder / name for name in (*LOGS, _WORDS)):
            if path.exists() and not path.stat().st_size:
                path.unlink()
            elif path.exists() and not self.over and path.name != _WORDS:
                path.rename(path.with_suffix(f".unfinished{path.suffix}"))


def is_official(folder: Path) -> bool:
    """Does the folder hold logs that the official LoadGen wrote to their end?"""
    try:
        official_results(folder)
    except BadInput:
        return False
    return True


def official_results(folder: Path) -> dict[str, Any]:
    """The figures of LoadGen's detail log under their own keys, with `errors` and `warnings` as
    lists of texts.

    Kept: loadgen_version, sut_name, effective_*, generated_*, early_stopping_*, result_*,
    num_errors. An undefined number is None; of a key that comes once per accuracy set, the first.
    Raises BadInput if LoadGen wrote no log there.
    """
    path = folder / _DETAIL
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    events = [_event(line) for line in lines]
    found: dict[str, Any] = {}
    for key, value, _ in events:
        if key.startswith(_FIGURES):
            found.setdefault(key, value)
    if "loadgen_version" not in found or any(key == _OURS for key, *_ in events):
        raise BadInput(
            f"reading {folder}",
            f"no {_DETAIL} of the official LoadGen",
            "the folder of a --driver mlcommons run",
        )
    errors = [str(value) for key, value, kind in events if kind == "error"]
    warnings = [str(value) for key, value, kind in events if kind == "warning"]
    return found | {"errors": errors, "warnings": warnings}


def _event(line: str) -> tuple[str, Any, str]:
    """(key, value, "error" | "warning" | ""). Not every line is JSON: LoadGen writes -nan, and
    quotes as they are.
    """
    found = _LINE.match(line)
    if found is None:
        return "", None, ""
    kind = (
        "error"
        if '"is_error": true' in found["meta"]
        else "warning"
        if '"is_warning": true' in found["meta"]
        else ""
    )
    try:
        return found["key"], json.loads(found["value"], parse_constant=lambda _: None), kind
    except ValueError:
        text = found["value"]
        return found["key"], text[1:-1] if text.startswith('"') else None, kind
