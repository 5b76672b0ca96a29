"""What evaluate.json holds: what a tool of somebody else's has found out about variants, or about
the answers of finished runs.
"""

from __future__ import annotations

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
    text,
    whole,
)

_FIGURE_FIELDS = {
    "task": text("Task, as the tool calls it."),
    "metric": text("Metric; lm-eval's filter in brackets."),
    "value": number("Its value, as the tool scales it."),
    "stderr": maybe(number("Standard error; null where the tool does not say.")),
    "n": maybe(whole("Samples; null where the tool does not say.", "samples")),
    "higher_is_better": maybe(flag("Whether more is better; null if unknown.")),
}
_FIGURE = record("A figure as the tool's own result file has it.", _FIGURE_FIELDS)
_ROW = record(
    "A variant, or a server, that was evaluated; or the answers of a run, by one metric.",
    {
        "label": text("The variant, or the address of the server."),
        "folder": text("Folder of its log and its result files, from here."),
        "status": choice("How it ended.", "DONE", "FAILED", "INTERRUPTED"),
        "reason": text("Why it is not DONE, in words; else empty."),
        "failure": text("Class of the error: BadInput, SetupFailed or RunBroke; empty if none."),
        "model": text("Name that the tool called it by."),
        "server": by_name(
            "What the server says of itself; empty where answers were scored.",
            anything("As harness serve has it."),
        ),
        "command": many("Command line of the tool.", text("A word.")),
        "seconds": number("Time it took, with the loading.", "s"),
        "files": by_name("Result files of the tool, from out/.", text("SHA-256.")),
        "figures": many("What the tool has found; empty unless DONE.", _FIGURE),
        "refused": whole(
            "Requests that the server refused, so that the tool may have counted wrong answers.",
            "requests",
        ),
        "scored": by_name(
            "Of a tool that scores answers: the run, how many answers were scored, are empty or "
            "have no reference, what was asked, the metric's script with its SHA-256, what of its "
            "result is left out, which figures are means over answers, how often the others were "
            "computed over drawn answers, and why a standard error is missing; else empty.",
            anything("A fact."),
        ),
    },
)
_LINE = record(
    "A figure beside that of the first variant which has it.",
    {
        "label": text("The variant, the server or the run."),
        **{name: _FIGURE_FIELDS[name] for name in ("task", "metric", "value", "stderr", "n")},
        "difference": maybe(number("What it has more than the first; null for the first itself.")),
        "low": maybe(number("Lower end of its 95 % interval; null where pairs are not known.")),
        "high": maybe(number("Upper end of it.")),
    },
)
EVALUATE = file(
    "evaluate.json",
    record(
        "An evaluation by a tool of somebody else's: a row for each variant, or for each run and "
        "metric.",
        {
            "tool": text("Tool, as --with names it."),
            "version": text("Its version; empty where it has none."),
            "tasks": many("What was asked for with --task.", text("A task.")),
            "options": many("The user's own options for the tool.", text("A word.")),
            "model": text(
                "Model, as on the command line; may be empty with --base-url, and for answers of "
                "several models."
            ),
            "started_at": text("When it began, UTC."),
            "asked": by_name(
                "The other settings, by which it can go on; without secrets.",
                anything("As on the command line; flags: those of harness serve."),
            ),
            "rows": many("The variants, or runs and metrics, that have ended, in order.", _ROW),
            "lines": many("The figures side by side, once all have ended.", _LINE),
            "not_run": many("Those that were not evaluated.", text("A variant, or RUN by METRIC.")),
            "status": choice("How it ended, all in all.", "DONE", "FAILED", "INTERRUPTED"),
            "schema": choice("Version of this file.", "touchstone.evaluate/1"),
        },
    ),
)
