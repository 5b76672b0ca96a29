"""What evaluate.json holds: what a tool of somebody else's has found out about variants."""

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

_FIGURE = record(
    "A figure as the tool's own result file has it.",
    {
        "task": text("Task, as the tool calls it."),
        "metric": text("Metric; lm-eval's filter in brackets."),
        "value": number("Its value, as the tool scales it."),
        "stderr": maybe(number("Standard error; null where the tool does not say.")),
        "n": maybe(whole("Samples; null where the tool does not say.", "samples")),
        "higher_is_better": maybe(flag("Whether more is better; null if unknown.")),
    },
)
_ROW = record(
    "A variant, or a server, that was evaluated.",
    {
        "label": text("The variant, or the address of the server."),
        "folder": text("Folder of its log and its result files, from here."),
        "status": choice("How it ended.", "DONE", "FAILED", "INTERRUPTED"),
        "reason": text("Why it is not DONE, in words; else empty."),
        "failure": text("Class of the error: BadInput, SetupFailed or RunBroke; empty if none."),
        "model": text("Name that the tool called it by."),
        "server": by_name("What the server says of itself.", anything("As harness serve has it.")),
        "command": many("Command line of the tool.", text("A word.")),
        "seconds": number("Time it took, with the loading.", "s"),
        "files": by_name("Result files of the tool, from out/.", text("SHA-256.")),
        "figures": many("What the tool has found; empty unless DONE.", _FIGURE),
        "refused": whole(
            "Requests that the server refused, so that the tool may have counted wrong answers.",
            "requests",
        ),
    },
)
EVALUATE = file(
    "evaluate.json",
    record(
        "An evaluation by a tool of somebody else's: a row for each variant.",
        {
            "tool": text("Tool, as --with names it."),
            "version": text("Its version; empty where it has none."),
            "tasks": many("What was asked for with --task.", text("A task.")),
            "options": many("The user's own options for the tool.", text("A word.")),
            "model": text("Model, as on the command line; may be empty with --base-url."),
            "started_at": text("When it began, UTC."),
            "asked": by_name(
                "The other settings, by which it can go on; without secrets.",
                anything("As on the command line; flags: those of harness serve."),
            ),
            "rows": many("The variants that have ended, in order.", _ROW),
            "not_run": many("The variants that were not evaluated.", text("A variant.")),
            "status": choice("How it ended, all in all.", "DONE", "FAILED", "INTERRUPTED"),
            "schema": choice("Version of this file.", "touchstone.evaluate/1"),
        },
    ),
)
