"""The official LoadGen in a process of its own: how it starts, what it is told, how it ends."""

from __future__ import annotations

import json
import math
import signal
import socket
import subprocess
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.kernel import files
from harness.kernel.errors import RunBroke, SetupFailed
from harness.kernel.machine import waits
from harness.kernel.process import children
from harness.kernel.protocols import Clock
from harness.kernel.types import RunSettings
from harness.official.child import RECEIVE_BYTES
from scenarios.loadgen import settings as loadgen_settings

DETAIL = "mlperf_log_detail.txt"
LOGS = ("mlperf_log_summary.txt", DETAIL, "mlperf_log_accuracy.json")
_TRACE = "mlperf_log_trace.json"  # LoadGen makes one even if told not to trace
WORDS = "loadgen.log"  # what the wheel's process printed, if anything
KEPT = "What had completed is kept."
_RENAMED = {
    "test_mode": "mode",
    "server_ttft_latency": "ttft_latency",
    "server_tpot_latency": "tpot_latency",
}


def require_wheel() -> None:
    """Raise SetupFailed if the official LoadGen is not installed."""
    if find_spec("mlperf_loadgen") is None:
        raise SetupFailed(
            "the official LoadGen",
            "its wheel is not installed",
            "it exists for Linux on x86-64",
            "Install it with: pip install 'touchstone-harness[mlcommons]'.",
        )


def settings_of(settings: RunSettings) -> dict[str, Any]:
    """Return the attributes of the wheel's TestSettings: what `requested_*` lines report, under the
    names of its Python binding.
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


def _latency_ns(qps: float) -> float:
    """Return the latency whose inverse, which LoadGen plans with, is `qps`; or the next above, so
    that whole counts stay whole.
    """
    latency_ns = 1e9 / qps
    return latency_ns if 1e9 / latency_ns >= qps else math.nextafter(latency_ns, 0.0)


class Wheel:
    """The child process: starts with the block and is gone after it."""

    def __init__(self, settings: RunSettings, clock: Clock, folder: Path) -> None:
        self._clock, self._folder = clock, folder
        self.over = False  # LoadGen came to its own end and has written its logs
        self.socket, theirs = socket.socketpair()
        job = {
            "fd": theirs.fileno(),
            "settings": settings_of(settings),
            "total": settings.num_samples,
            "performance": settings.performance_samples,
            "folder": str(folder),
        }
        with theirs, files.opened_log(folder / WORDS) as words:
            self._process = children.Child(
                "harness.official.child",
                json.dumps(job),
                pass_fds=[theirs.fileno()],
                stdout=words,
                stderr=words,
            )

    def __enter__(self) -> Wheel:
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, data: bytearray) -> None:
        """Send as much of `data` as the socket takes now, and remove it from the front. Never
        waits.
        """
        with suppress(
            OSError
        ):  # full: the rest goes with the next call; closed: `receive` will say why
            while data:
                del data[: self.socket.send(data, socket.MSG_DONTWAIT)]

    def receive(self) -> bytes:
        """Receive what there is. Raises RunBroke at the end of the stream."""
        try:
            data = self.socket.recv(RECEIVE_BYTES)
        except OSError:
            data = b""
        if not data:
            self._clock.unwatch(self.socket.fileno())
            raise RunBroke("the official LoadGen", self._how_it_ended(), "", KEPT)
        return data

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(waits.LEAVING_S)
        except subprocess.TimeoutExpired:
            return "closed its connection and went on"
        how = f"ended with exit code {code}"
        if code < 0:
            how = f"ended with signal {-code} ({signal.Signals(-code).name})"
        last = (self._folder / WORDS).read_text(errors="replace").strip().splitlines()[-1:]
        return how + (f", last words: {last[0][:300]}" if last else "")

    def __exit__(self, *_: object) -> None:
        self._clock.unwatch(self.socket.fileno())
        waits.leave(self._process, waits.LEAVING_S if self.over else 0.0)
        self.socket.close()
        self._tidy()

    def _tidy(self) -> None:
        """Rename the logs that LoadGen did not finish, so that nobody takes them for a result. What
        the folder does not let be renamed stays: the run matters more.
        """
        with suppress(OSError):
            self._rename()

    def _rename(self) -> None:
        (self._folder / _TRACE).unlink(missing_ok=True)
        for path in (self._folder / name for name in (*LOGS, WORDS)):
            if path.exists() and not path.stat().st_size:
                path.unlink()
            elif path.exists() and not self.over and path.name != WORDS:
                files.move(path, path.with_suffix(f".unfinished{path.suffix}"))
