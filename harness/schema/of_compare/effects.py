"""What does compare.json say of its tests: what differs, and which limits are kept?"""

from __future__ import annotations

from harness.schema.parts import choice, flag, many, maybe, number, record, text, whole

_CHANGE = {
    "before": maybe(number("The baseline's value: the mean over its runs, geometric of a ratio.")),
    "after": maybe(number("The same of the other side.")),
    "is_ratio": flag("Whether the change is a share of the baseline's, not a difference."),
    "change": record(
        "From the baseline, with its 95 % interval (0.05: 5 % more, or a difference in the "
        "figure's unit); null where nothing tells.",
        {
            "value": maybe(number("The change.")),
            "low": maybe(number("Lower end.")),
            "high": maybe(number("Upper end.")),
        },
    ),
}
_STATUS = ("PASS", "FAIL", "INCONCLUSIVE")
_UNIT = choice(
    "What was drawn by chance: samples within a run where each side is one run, else runs.",
    "samples", "runs",
)  # fmt: skip

EFFECTS = many("Each side beside the baseline, tested.", record("A pair of sides.", {
    "label": text("The other side: the label of its row, or candidate."),
    "baseline": text("The baseline's label."),
    "runs": many("How many runs each side has that ended, the baseline's first.", whole("Runs.")),
    "unit": _UNIT,
    "refused": text("Why nothing was tested; empty if it was."),
    "figures": many("What differs.", record("A figure.", {
        "name": text("As in CSV files."),
        "label": text("As people read it."),
        "unit": text("Unit of both values and of a difference."),
        **_CHANGE,
        "p": maybe(number("How often chance alone shows as large a change.", "0 to 1")),
        "p_corrected": maybe(number("The same, for the number of figures (Holm).", "0 to 1")),
        "verdict": choice(
            "What the data show, at 5 % after the correction.",
            "better", "worse", "no difference shown", "not tested",
        ),
        "smallest": maybe(number(
            "Smallest change that as many samples or runs show in 80 % of all cases."
        )),
        "size": whole("Samples of a run, or runs of a side: the fewer of both."),
        "why": text("Why it was not tested; empty if it was."),
    })),
}))  # fmt: skip

LIMITS = record("What became of --fail-if; missing without it.", {
    "status": choice("FAIL if any fails, PASS if all pass.", *_STATUS),
    "terms": many("Each limit for each side.", record("A limit.", {
        "label": text("The side."),
        "limit": text("As it was given."),
        "figure": text("Name of the figure."),
        "unit": text("Its unit."),
        "status": choice("Whether the data show the change (FAIL) or exclude it (PASS).", *_STATUS),
        **_CHANGE,
        "needed": maybe(whole("How many samples or runs would decide it; null if it is decided.")),
        "needed_unit": _UNIT,
        "size": whole("How many there are."),
        "why": text("Why nobody can tell, where more data are not the remedy; else empty."),
    })),
    "allow_inconclusive": flag("Whether INCONCLUSIVE ends with exit code 0."),
})  # fmt: skip
