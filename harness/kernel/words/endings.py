"""Did the run come to its own end, and if not, what would let it? Words for the verdicts.

A run that was interrupted, broke or lost samples fails conditions of length and number too, and
advice on these would make it worse: a larger rate does not help a system that hangs.
"""

from __future__ import annotations

from harness.kernel.log import RunLog

_TIMED_OUT = {  # by the kind that `harness.engine.timeouts` found most often
    "silent": "find out why the system stopped answering (sut.log); if it was still at work, raise"
    " --sample-timeout",
    "stuck": "find out why answers stopped on their way (sut.log); if the system pauses that long,"
    " raise --sample-timeout",
    "overtaken": "find out why requests are passed over while later ones are answered (sut.log)",
}
_FAILED = "find out why samples failed: see samples_complete"


def to_finish(log: RunLog, failed: str = _FAILED) -> str:
    """Say what would let the run end by itself with all its samples; nothing if it did. `failed` is
    what to say of samples that the system itself gave up.
    """
    if log.end == "interrupted":
        return "let the run end by itself"
    if log.end == "error":
        return "find out why the system broke (sut.log), then run again"
    if log.timed_out:
        kind = max(log.timed_out, key=lambda name: log.timed_out[name])
        return _TIMED_OUT[kind]
    if not log.completed.all():
        return failed
    return ""
