"""What sweep.json holds: every combination that was swept, its runs, and what they come to."""

from __future__ import annotations

from harness.schema.of_compare.best import best_of
from harness.schema.parts import (
    anything,
    by_name,
    choice,
    file,
    flag,
    many,
    maybe,
    number,
    record,
    same_as,
    text,
    whole,
)
from harness.schema.shared import FOLDER, RUN

_MEASURED = ("VALID", "INVALID", "INTERRUPTED", "ERROR", "FAILED", "OOM")
_PLACE = "Place in `points`, counting from 0."
FOLDED = record(
    "A figure folded over the repeats: their mean with its 95 % interval, by Student's t.",
    {
        "value": number("The mean."),
        "low": maybe(number("Lower end; null of a single run.")),
        "high": maybe(number("Upper end; null of a single run.")),
        "n": whole("Runs that have it."),
    },
)
_SWEPT_RUN = record("One run of a combination.", {
    "cell": text("Its name in study.json."),
    "order": whole("When it was measured, counting from 1."),
    "repeat": whole("Round that it belongs to, counting from 1."),
    "status": choice("Verdict of the run, or why there is none.", *_MEASURED),
    "reason": text("Why, in words."),
    "run": RUN,
    "figures": by_name(
        "Its figures by name, unit last: those of harness run --format csv, and `users` (completed "
        "per second x mean latency), `tokens_per_s_per_user` (1 / median TPOT), "
        "`tokens_per_s_per_device`, `power` (completed per second / mean latency, 1/s2), "
        "`goodput_per_s` and `goodput_share` (requests within all SLOs), `peak_qps` (of a search).",
        number("Its value."),
    ),
})  # fmt: skip
_POINT = record("A combination of the swept values.", {
    "label": text("What differs from the others."),
    "series": text("The same without the load: which curve it belongs to."),
    "values": by_name("Values of the settings that were lists.", anything("As given.")),
    "status": choice(
        "What most of its runs were; REFUSED: its settings contradict one another.",
        *_MEASURED, "REFUSED", "NOT RUN",
    ),
    "reason": text("Why, in words; how many of each, where the repeats differ."),
    "model": text("Model without its owner or folder; empty if nothing was run."),
    "variant": text("Precision, or the SUT where no model runs."),
    "device": text("What a device is: the GPU's name, cpu, server, or machine."),
    "devices": whole("GPUs that the model used; 1 where none or nobody can tell."),
    "is_at_once": flag("Whether all samples are issued at once (offline)."),
    "figures": by_name("Figures over its runs.", same_as("folded", "One of them.")),
    "runs": many("Its runs, in the order in which they were measured.", _SWEPT_RUN),
})  # fmt: skip
SWEEP = file(
    "sweep.json",
    record("What came of a grid of settings.", {
        "schema": choice("Version of this layout.", "touchstone.sweep/1"),
        "swept": many("Settings with several values.", text("Name of a setting.")),
        "load": text("The one of them that is the load of the curves; empty if none is."),
        "repeats": whole("Runs of each combination."),
        "order_seed": whole("Seed of the order of the rounds."),
        "points": many("The combinations, in the order of the lists.", _POINT),
        "curves": many("Points that differ in their load alone.", record("A curve.", {
            "label": text("Its series."),
            "points": many("By load.", whole(_PLACE)),
            "loads": many("The load of each.", number("A load.")),
            "knee": maybe(record(
                "The load with the highest power; null where too few loads tell.", {
                    "load": number("The load."),
                    "low": maybe(number("Lower end of its 95 % interval; null without repeats.")),
                    "high": maybe(number("Upper end.")),
                    "is_bracketed": flag("Whether lower and higher loads were swept."),
                },
            )),
        })),
        "front": many(
            "Valid points that no other beats in both tokens_per_s_per_user and "
            "tokens_per_s_per_device, slowest user first.", whole(_PLACE),
        ),
        "best": best_of(
            "A row for each model, variant or system: the label of its best valid point.",
            by=text("Figure by which that point is the best."),
        ),
        "rounds": many(
            "Tokens per second of each round of repeats as a ratio to the mean of all; empty where "
            "too few points tell.", same_as("folded", "Over the points."),
        ),
        "not_run": many("Cells that did not end.", text("Name of a cell.")),
        "interrupted": flag("Whether Ctrl-C ended the sweep."),
        "folder": FOLDER,
    }),
    {"folded": FOLDED},
)  # fmt: skip
