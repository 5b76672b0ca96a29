"""How is a text scored that is longer than the model's context? In windows, as lm-eval's rolling
log-likelihood does it: each token once, and each window as full as the context allows. A token sees
at least context + 1 - stride tokens before it.
"""

from __future__ import annotations

from typing import NamedTuple

from harness.kernel.errors import BadInput


class Window(NamedTuple):
    """Tokens from `start` to before `end - 1` go in; those from `scored` to before `end` are
    predicted and count.
    """

    start: int
    scored: int
    end: int


def windows(
    length: int, context: int, stride: int | None = None, first: int = 1, name: str = "a text"
) -> list[Window]:
    """Return windows in which every token from `first` on is scored exactly once, in order; no
    window feeds more than `context` tokens.

    Windows end at tokens context + 1, then `stride` further each, and reach back as far as the
    context allows.
    """
    if first < 1:
        raise ValueError("nothing predicts token 0")
    if context < 1 or (stride is not None and not 1 <= stride <= context):
        doing = "cutting texts into windows"
        found = f"a stride of {stride} in a context of {context} tokens"
        raise BadInput(doing, found, "expected 1 to the context", "Pass --stride in this range.")
    if stride is None and length - 1 > context:
        fine = f"the context takes {context} and predicts one more"
        todo = "Pass --stride to score it in windows, or leave it out."
        raise BadInput(name, f"it has {length} tokens", fine, todo)
    ends = [*range(context + 1, length, stride or context), length]
    starts = [first, *ends]
    made = []
    for before, end in zip(starts, ends, strict=False):
        made.append(Window(max(0, end - context - 1), max(first, before), end))
    return [window for window in made if window.scored < window.end]
