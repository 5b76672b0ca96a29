"""What is kept of a search for the highest rate: its steps, and what it found."""

from __future__ import annotations

from harness.schema.parts import choice, file, flag, many, maybe, number, record, text, whole
from harness.schema.shared import STATUSES

_TAIL = record("Share of the queries over a limit.", {
    "log_share": number("Its natural logarithm; read off an exponential tail where few were."),
    "error": number("Standard error of that."),
    "at_least": flag("Whether the share is this or more: the run was ended early."),
})  # fmt: skip
_OF_SEQUENCE = {  # of a step of our own search
    "purpose": choice(
        "What the step was for (docs/capacity.md).",
        "widen", "saturate", "narrow", "confirm", "bound",
    ),
    "queries": whole("Queries that were issued.", "queries"),
    "planned_queries": whole("Queries that were planned.", "queries"),
    "ended_early": flag("Whether it was ended since it could not hold any more."),
    "tails": record("What it tells of each limit.", {
        "ttft": _TAIL, "tpot": _TAIL, "latency": _TAIL,
        "other": {**_TAIL, "description": "The driver was late, or samples were lost."},
    }, optional=("ttft", "tpot", "latency", "other")),
    "saturation": maybe(record("How fast an overloaded system served; null if it was not.", {
        "qps": number("Departures while queries waited.", "1/s"),
        "error": number("Standard error of that.", "1/s"),
        "dispersion": number("Variance of their counts per mean."),
        "batches": whole("Batches that these were told from."),
    })),
    "base_s": record("What a limit that waits takes without a queue (2 % quantile).", {
        "ttft": number("Time to first token.", "s"), "latency": number("Latency.", "s"),
    }, optional=("ttft", "latency")),
}  # fmt: skip
STEP = record("A rate that was tried.", {
    "target_qps": number("The rate.", "queries/s"),
    "limits_kept": flag("Whether the latency limits were kept: LoadGen's own condition."),
    "why": many(
        "Why the rate did not hold; empty if it held.",
        choice(
            "A latency limit was broken, the system clearly served less than 95 % of the rate, "
            "the driver fell behind, a sample failed or was lost, the run was ended since it could "
            "not hold any more, or there were too few queries to be sure.",
            "limits", "not_delivered", "driver_late", "samples_lost", "hopeless", "not_certain",
        ),
    ),
    "delivered_qps": maybe(number(
        "Rate that was served, by how latency grew over the run; null with too few queries.",
        "queries/s",
    )),
    "duration_s": number("Time from the start to the last due query.", "s"),
    "held": flag("Whether the rate held: `why` is empty."),
    "status": choice("Verdict of its run.", *STATUSES),
    "folder": text("Folder of its run, inside the run folder."),
    **_OF_SEQUENCE,
}, optional=tuple(_OF_SEQUENCE))  # fmt: skip
FOUND = record("What our own search found.", {
    "held_qps": maybe(number("Rate of the run that is reported; null: none held.", "queries/s")),
    "failed_qps": maybe(number("Lowest rate above it that did not hold.", "queries/s")),
    "peak_qps": maybe(record("Where the highest rate that keeps all limits is.", {
        "value": number("Median of what is believed.", "queries/s"),
        "low": number("Lower end of its 90 % interval.", "queries/s"),
        "high": number("Upper end.", "queries/s"),
    })),
    "precision": number("How closely it was searched for.", "of 1"),
    "queries": whole("Queries that all steps issued.", "queries"),
    "bisection_queries": maybe(whole(
        "Queries that plain bisection would have issued for the same precision.", "queries"
    )),
})  # fmt: skip
FIND_PEAK = file("find_peak.json", record("The steps of a search for the highest rate.", {
    "steps": many("The rates, in the order in which they were tried.", STEP),
    "ended": choice(
        "Why no further rate was tried: the peak is known (`closed`), or as well as half of "
        "bisection's queries allow (`budget`); every rate held, the next run would have been too "
        "large, none held, too many were tried, or the last run broke.",
        "closed", "budget", "open", "size", "none", "tries", "INTERRUPTED", "ERROR",
    ),
    "found": FOUND,
}, optional=("found",)))  # fmt: skip
