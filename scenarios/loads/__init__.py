"""When do the queries of the server scenario come? One file per load, and one row here.

A load is written KIND or KIND:WORDS, without commas, so that `compare` takes a list of them:

    poisson                      LoadGen's own, bit for bit (the default)
    gamma:SHAPE                  bursts: gaps whose coefficient of variation is 1 / sqrt(SHAPE)
    constant                     equal gaps
    ramp:FROM..TO                queries/s that grow (or fall) evenly over the minimum duration
    step:RATE/RATE/...           queries/s, each for an equal part of the minimum duration
    concurrency:USERS            closed loop: so many queries are open, whatever that takes
    trace:FILE[@SPEEDx][@FROM..TO]     arrivals and lengths of a trace
    conversations:FILE[@THINK]         turns, each sent when the answer before it has come
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from harness.kernel import plugins
from harness.kernel.errors import BadInput, unknown

if TYPE_CHECKING:
    from scenarios.loads.load import Load

DEFAULT = "poisson"


class LoadEntry(NamedTuple):
    """A load. `factory` is the class whose `read` takes what is written behind the colon."""

    factory: str
    form: str  # how it is written
    summary: str


TABLE: dict[str, LoadEntry] = {
    "poisson": LoadEntry(
        "scenarios.loads.poisson:Poisson", "poisson", "independent users, as LoadGen has them"
    ),
    "gamma": LoadEntry(
        "scenarios.loads.gamma:Gamma", "gamma:0.25", "bursts (a shape below 1) or calm (above)"
    ),
    "constant": LoadEntry("scenarios.loads.constant:Constant", "constant", "equal gaps"),
    "ramp": LoadEntry("scenarios.loads.ramp:Ramp", "ramp:1..20", "a rate that grows or falls"),
    "step": LoadEntry("scenarios.loads.step:Step", "step:2/8/2", "one rate after the other"),
    "concurrency": LoadEntry(
        "scenarios.loads.concurrency:Concurrency", "concurrency:8", "a fixed number of open queries"
    ),
    "trace": LoadEntry(
        "scenarios.loads.trace:TraceLoad",
        "trace:FILE@2x@10m..20m",
        "arrivals and lengths of a trace",
    ),
    "conversations": LoadEntry(
        "scenarios.loads.conversations:ConversationLoad",
        "conversations:FILE@2s",
        "several turns, with time to think between them",
    ),
}


def file_of(text: str) -> str:
    """Return the file that a load reads; "" where there is none, or the load is not one."""
    try:
        return str(getattr(load_of(text), "file", ""))
    except BadInput:
        return ""


def load_of(text: str) -> Load:
    """Return the load that is written so. Raises BadInput naming what would be fine."""
    kind, _, words = text.partition(":")
    if kind not in TABLE:
        todo = f"Write one of {', '.join(entry.form for entry in TABLE.values())}."
        raise unknown("load", kind, TABLE, todo)
    try:
        load: Load = plugins.made_by(TABLE[kind].factory, f"load {kind}").read(words)
    except ValueError as error:
        fine = f"expected {TABLE[kind].form}, for example"
        raise BadInput(f"--load {text}", str(error), fine) from None
    return load
