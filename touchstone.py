"""The same as `harness`, by the name of the project: `touchstone.load(folder)`."""

from harness import (
    BadInput,
    HarnessError,
    Run,
    RunBroke,
    SetupFailed,
    Study,
    compare,
    decide,
    evaluate,
    gate,
    load,
    perplexity,
    report,
    resume,
    run,
    sweep,
)

__all__ = [
    "BadInput",
    "HarnessError",
    "Run",
    "RunBroke",
    "SetupFailed",
    "Study",
    "compare",
    "decide",
    "evaluate",
    "gate",
    "load",
    "perplexity",
    "report",
    "resume",
    "run",
    "sweep",
]
