"""Which turns does a file of conversations hold? A row is a conversation, in one of these shapes:

    ShareGPT   conversations: [{from: human, value: ...}, {from: gpt, value: ...}, ...]
    messages   messages: [{role: user, content: ...}, {role: assistant, content: ...}, ...]
    turns      turns: [{text: ..., delay: milliseconds}, ...], as AIPerf reads them, or texts

What the assistant says in the file is sent as the history, not what the measured system answered:
so every request is known before the clock starts, and is the same for every system.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from accuracy.datasets.readers import read
from accuracy.datasets.rows import Row
from harness.kernel.errors import BadInput
from harness.kernel.types import NEVER, Sample
from harness.loads.traces import found
from scenarios.loads.conversations import Talks

_FINE = "expected rows with conversations, messages or turns"
_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
    "system": "system",
}  # fmt: skip
_MOST_TURNS = 1_000_000


class Said(NamedTuple):
    """Something that was said. `think_ns`: before it, after the answer to the last; or NEVER."""

    role: str
    text: str
    think_ns: int = NEVER


def read_conversations(
    file: str, max_new_tokens: int, most: int | None
) -> tuple[Talks, list[Sample], dict[str, Any]]:
    """Return when turns may go, a sample for each, and what there is to know of the file; of the
    first `most` conversations. Raises BadInput.
    """
    path = found(file, f"--load conversations:{file}")
    samples, starts, thinks = list[Sample](), [0], list[int]()
    for row in read(path):
        if most is not None and len(starts) > most:
            break
        turns = list(_turns(_said(row), len(samples), len(starts) - 1, max_new_tokens))
        if not turns:
            raise _unfit(row, "no user says anything in it")
        for sample, think_ns in turns:
            samples.append(sample)
            thinks.append(think_ns)
        starts.append(len(samples))
        if len(samples) > _MOST_TURNS:
            raise _unfit(row, f"there are more than {_MOST_TURNS:,} turns up to here")
    if not samples:
        raise BadInput(f"conversations {path.name}", "it has no rows", _FINE)
    facts = {"file": path.name, "conversations": len(starts) - 1}
    return Talks(np.array(starts), np.array(thinks)), samples, facts


def _turns(
    said: list[Said], first: int, group: int, max_new_tokens: int
) -> Iterator[tuple[Sample, int]]:
    """Yield a sample for each thing that the user says, with all that was said before it."""
    history = list[tuple[str, str]]()
    number = 0
    for at, one in enumerate(said):
        if one.role == "user":
            after = said[at + 1] if at + 1 < len(said) else None
            reference = after.text if after and after.role == "assistant" else None
            sample = Sample(
                first + number,
                one.text,
                reference=reference,
                max_new_tokens=max_new_tokens,
                labels=(("turn", str(number + 1)),),
                history=tuple(history),
                group=group,
            )
            yield sample, one.think_ns
            number += 1
        history.append((one.role, one.text))


def _said(row: Row) -> list[Said]:
    for column, role, text in (("conversations", "from", "value"), ("messages", "role", "content")):
        if isinstance(row.cells.get(column), list):
            return [_one(row, column, item, role, text) for item in row.cells[column]]
    if isinstance(row.cells.get("turns"), list):
        return [_turn(row, item) for item in row.cells["turns"]]
    raise _unfit(row, f"its columns are {', '.join(list(row.cells)[:12])}")


def _one(row: Row, column: str, item: Any, role: str, text: str) -> Said:
    is_one = isinstance(item, Mapping) and isinstance(item.get(text), str)
    if not is_one or str(item.get(role)) not in _ROLES:
        raise row.complain(column, f"{item!r}"[:60], f"objects with {role} and {text}")
    return Said(_ROLES[item[role]], item[text])


def _turn(row: Row, item: Any) -> Said:
    if isinstance(item, str):
        return Said("user", item)
    delay = item.get("delay") if isinstance(item, Mapping) else None
    is_delay = delay is None or (type(delay) in (int, float) and 0 <= delay <= 1e10)
    if not is_delay or not isinstance(item, Mapping) or not isinstance(item.get("text"), str):
        raise row.complain("turns", f"{item!r}"[:60], "texts, or objects with text and delay (ms)")
    return Said("user", item["text"], NEVER if delay is None else round(delay * 1e6))


def _unfit(row: Row, what: str) -> BadInput:
    return BadInput(f"{row.file}, {row.where}", what, _FINE)
