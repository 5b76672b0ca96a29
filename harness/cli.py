"""`python -m harness COMMAND`: words in, a verdict and an exit code out.

0 valid or pass · 1 invalid or fail · 2 bad input · 3 set-up failed · 4 the run broke · 130
interrupted. With `--json` the last line of stdout is one JSON object and people's text goes to
stderr. Heavy imports wait until a command needs them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from harness.commands import (
    capacity,
    decide,
    families,
    laboratory,
    lists,
    mlperf,
    runs,
    serving,
    studies,
    sweeps,
)
from harness.commands.judges import evaluating, judging
from harness.kernel.errors import RunBroke
from harness.kernel.process import stopping, streams
from harness.options.flags import Command, Program

app = typer.Typer(
    name="harness",
    help=(
        "Test variants of a language model against its own FP32 reference: speed under load,"
        " quality, memory, and whether the figures can be trusted."
    ),
    cls=Program,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: dict[str, Callable[..., None]] = {
    "run": runs.run,
    "plan": runs.plan,
    "report": runs.report,
    "whatif": capacity.whatif,
    "compare": studies.compare,
    "family": families.family,
    "sweep": sweeps.sweep,
    "gate": studies.gate,
    "judge": judging.judge,
    "decide": decide.decide,
    "cost": decide.cost,
    "resume": studies.resume,
    "perplexity": laboratory.perplexity,
    "evaluate": evaluating.evaluate,
    "audit": mlperf.audit,
    "package": mlperf.package,
    "check": mlperf.check,
    "serve": serving.serve,
    "client": serving.client,
    "view": serving.view,
    "list": lists.list_,
    "doctor": lists.doctor,
}


def _about(command: Callable[..., None]) -> str:
    """Return what a command says of itself, each paragraph on one line, to be wrapped anew."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


for _name, _command in COMMANDS.items():
    app.command(name=_name, cls=Command, help=_about(_command))(_command)


def _show_versions(asked: bool) -> None:
    if asked:
        from harness.engine.environment import versions

        for name, version in versions().items():
            print(f"{name} {version}")
        raise typer.Exit(0)


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_show_versions,
            help="Show the versions of Touchstone, Python and the main libraries, and exit.",
        ),
    ] = False,
) -> None:
    """Own options of the program; each command has its own."""


def _build_only(words: Sequence[str]) -> None:
    """Leave the options of all commands out that stand nowhere in `words`: building those of every
    command takes a fifth of the time that help takes.
    """
    for known in app.registered_commands:
        if known.name not in words:
            known.callback = _nothing


def _nothing() -> None:
    """Stand for a command that was not called."""


def main() -> None:
    """Run the program: every error of ours is a sentence and an exit code, never a traceback."""
    stopping.listen()
    code = 0
    try:
        streams.protect()
        _build_only(sys.argv[1:])
        app()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        code = stopping.STOPPED
    code = stopping.exit_code(code)
    stopping.over()
    if code != RunBroke.exit_code and (why := streams.lost()):
        streams.tell(f"note: stdout took no more ({why})")
    sys.exit(code)
