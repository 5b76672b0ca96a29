"""What result.json says of the decode steps, beside the least that the device's memory allows."""

from __future__ import annotations

from harness.schema.parts import empty_or, flag, many, maybe, number, record, text, whole

_PATH = text("Implementation of a decode step, as `decode_step` of `sut_facts`.")
_SLOWED_BY = many("What the facts of the run suggest slows a step.", text("In words."))
_OF_STEPS = {
    "rows": whole("Requests that were decoded together.", "requests"),
    "steps": whole("Steps of as many, without those that fed a prompt.", "steps"),
    "step_ms": number("Median time of a step, from the end of the one before.", "ms"),
    "limit_ms": maybe(number(
        "Least time of such a step: the bytes that it reads over the speed of a copy; null where "
        "that is not known, or the model so small that it lies in caches.", "ms",
    )),
    "share": maybe(number("limit_ms / step_ms.", "0 to 1")),
}  # fmt: skip

SELF_CHECK = empty_or(record(
    "The decode steps of the timed part beside the limit of the device's memory, at the number of "
    "rows that most steps had; missing for a SUT that does not note them.",
    {
        "copy_bytes_per_s": maybe(number(
            "Bytes that a copy on the device read and wrote, measured at load; null if it was not.",
            "B/s",
        )),
        "weights_read_bytes": whole("Weights that a step of one row reads.", "B"),
        "cache_counted": flag(
            "Whether the limit has the key-value cache in it: a model that keeps its own state "
            "does not tell."
        ),
        **_OF_STEPS,
        "by_rows": many("The same by rows, for the most frequent.", record("Steps.", _OF_STEPS)),
        "path": _PATH,
        "slowed_by": _SLOWED_BY,
    },
    optional=tuple(_OF_STEPS),
))  # fmt: skip

OF_ROW = {name: about for name, about in _OF_STEPS.items() if name != "steps"} | {
    "path": _PATH, "slowed_by": _SLOWED_BY,
}  # fmt: skip
