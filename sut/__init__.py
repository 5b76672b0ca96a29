"""What turns samples into tokens and says so through one Sink. One file and one entry per system
under test (SUT).

`package.module:factory` names one that is neither ours nor a plug-in: a callable on the Python
path. Its attributes `isolated`, `uses_dataset`, `summary`, `evidence`, `uses_gpu`, `warms_up` and
`real_time` say what an entry would; each may be missing (see `harness.kernel.entries.SutEntry`).
"""

from typing import Any

from harness.kernel import plugins
from harness.kernel.entries import ALL_EVIDENCE, SutEntry
from harness.kernel.errors import BadInput

Entry = SutEntry

_STARTED = {  # rows of `sut.started.table`
    "vllm": "vLLM of the environment of --server-python",
    "sglang": "SGLang of the environment of --server-python",
    "llama-server": "llama.cpp's server, found on the PATH",
}
TABLE = {
    "local": Entry(
        "sut.local_model:LocalModel",
        summary="a causal language model on this machine, batched in flight",
        runs_model=True,
    ),
    "served": Entry(
        "sut.served.served:Served",
        isolated=False,
        summary="a server that speaks the OpenAI API, at --base-url",
        asks_server=True,
        real_time="waits for a server",
    ),
    **{
        name: Entry(
            "sut.started.started:Started",
            isolated=False,
            summary=f"{words}, started for the run",
            runs_model=True,
            asks_server=True,
            starts_server=True,
            real_time="waits for a server",
        )
        for name, words in _STARTED.items()
    },
    "simulated": Entry(
        "sut.simulated:Simulated",
        isolated=False,
        uses_dataset=False,
        summary="service times on the chosen clock, without a model; misbehaves on request",
        evidence=frozenset(("ids", "counts")),
        uses_gpu=False,
        warms_up=False,
        real_time="",
    ),
    "null": Entry(
        "sut.null:Null",
        isolated=False,
        uses_dataset=False,
        summary="answers at once, to measure the driver itself",
        evidence=frozenset(),
        uses_gpu=False,
        warms_up=False,
        real_time="takes no time at all",
    ),
}
_LIST = "See python -m harness list suts, or pass package.module:factory."
_WORDS = ("summary", "real_time")
_FLAGS = tuple(key for key, hint in SutEntry.__annotations__.items() if "bool" in str(hint))
_SAID_BY_ATTRIBUTES = set(SutEntry._fields) - {"factory", "runs_model"}


def entry(name: str) -> SutEntry:
    """Return the entry of a SUT: ours, a plug-in's, or that of `package.module:factory`.

    Raises BadInput, SetupFailed.
    """
    if ":" in name:
        return _entry_of(plugins.imported(name, f"--sut {name}"), name)
    found = plugins.find("sut", name, TABLE, _LIST)
    targets = [offer.target for offer in plugins.offers("sut") if offer.name == name]
    return _entry_of(found, targets[0] if targets else name)


def record(name: str) -> dict[str, Any] | None:
    """Return what a run writes of its SUT, for those who read it; None for one of ours."""
    if name in TABLE:
        return None
    known = entry(name)
    flags = {key: bool(getattr(known, key)) for key in _FLAGS}
    words = {key: str(getattr(known, key) or "") for key in _WORDS}
    return flags | words | {"evidence": sorted(known.evidence)}


def recorded(name: str, said: Any) -> SutEntry:
    """Return the entry of the SUT of a run that is read, from what the run wrote of it (`record`):
    its own code is not asked, since a folder may name any. Raises BadInput, ValueError.
    """
    if name in TABLE:
        return TABLE[name]
    if said is None:  # an older run
        return SutEntry(name) if ":" in name else entry(name)
    flags = {key: said[key] for key in _FLAGS if key in said}
    words = {key: said[key] for key in _WORDS if key in said}
    evidence = frozenset(said.get("evidence", ALL_EVIDENCE))
    is_sound = {type(value) for value in flags.values()} <= {bool} and evidence <= ALL_EVIDENCE
    if not is_sound or not {type(value) for value in words.values()} <= {str}:
        raise ValueError(f"{name} is recorded with other facts than a SUT has")
    return SutEntry(name, **flags, **words, evidence=evidence)


def names() -> list[str]:
    """Return the names of all SUTs, plug-ins included."""
    return plugins.names("sut", TABLE)


def _entry_of(found: Any, target: str) -> SutEntry:
    """Return an entry as it is; make one of a factory from its attributes."""
    if isinstance(found, SutEntry):
        return _checked(found, target)
    if not callable(found):
        fine = "a SutEntry, or a callable that takes a clock, would be fine"
        raise BadInput(f"--sut {target}", f"it is a {type(found).__name__}", fine)
    said = {name: getattr(found, name) for name in _SAID_BY_ATTRIBUTES if hasattr(found, name)}
    return _checked(SutEntry(target, **said), target)


def _checked(made: SutEntry, target: str) -> SutEntry:
    """Refuse an entry that could not be built, or whose evidence nobody knows."""
    strange = sorted(set(made.evidence) - ALL_EVIDENCE)
    if strange or isinstance(made.evidence, str):
        found = f"its evidence is {made.evidence!r}"
        raise BadInput(f"--sut {target}", found, f"some of {', '.join(sorted(ALL_EVIDENCE))}")
    if made.isolated and not isinstance(made.factory, str):
        fine = 'a process of its own needs "module:name", or isolated=False'
        raise BadInput(f"--sut {target}", "its factory is an object", fine)
    return made
