"""What may a Python program or a notebook call? The commands, with the names and the settings of
the command line: dashes are underscores, a list of values is a Python list.

    compare(model="smollm2-135m", variants=["fp32", "int8"], num_samples=64)

is `python -m harness compare --model smollm2-135m --variants fp32,int8 --num-samples 64`. Each
returns a `Run` or a `Study`, as `load` does of its folder; what the command line says in a sentence
and an exit code of 2, 3 or 4 is raised here, as BadInput, SetupFailed or RunBroke.
"""

from harness.api.commands import (
    compare,
    decide,
    evaluate,
    family,
    gate,
    judge,
    perplexity,
    report,
    resume,
    run,
    sweep,
)
from harness.api.folders import Run, Study, load

__all__ = [
    "Run",
    "Study",
    "compare",
    "decide",
    "evaluate",
    "family",
    "gate",
    "judge",
    "load",
    "perplexity",
    "report",
    "resume",
    "run",
    "sweep",
]
