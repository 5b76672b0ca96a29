"""Does an answer stop here, at one of the texts that end it? It does with the token that completes
one.

An answer is followed as the bytes of its tokens, so a text may begin in the middle of one token and
end in another, and a letter may be spread over several. A state is the longest end of the answer so
far that one of the texts begins with. What a token makes of a state is computed once and looked up
from then on: a token costs one look-up, however long the answer is.

The bytes of a token are those that it has in the middle of a text. Some tokenizers write it
otherwise elsewhere (without the space that opens a text, say), so an answer that seems to stop is
decoded, and stops if its text says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

State = bytes
START: State = b""


class Stops:
    """Texts that end an answer. `bytes_of` returns the bytes of a token; `is_in` says whether one
    of the texts stands in the text of an answer's ids.
    """

    def __init__(
        self,
        texts: Sequence[str],
        bytes_of: Callable[[int], bytes],
        is_in: Callable[[Sequence[int], Sequence[str]], bool],
    ) -> None:
        self._texts = texts
        self._wanted = [text.encode(errors="replace") for text in texts]
        self._bytes_of, self._is_in = bytes_of, is_in
        self._known: dict[tuple[State, int], tuple[State, bool]] = {}

    def after(self, state: State, ids: Sequence[int]) -> tuple[State, bool]:
        """Return the state after the newest of an answer's ids, and whether the answer stops."""
        step = state, ids[-1]
        found = self._known.get(step)
        if found is None:
            found = self._known[step] = self._step(*step)
        state, seems_to_stop = found
        return state, seems_to_stop and self._is_in(ids, self._texts)

    def _step(self, state: State, token: int) -> tuple[State, bool]:
        data = state + self._bytes_of(token)
        return self._beginning(data), any(wanted in data for wanted in self._wanted)

    def _beginning(self, data: bytes) -> State:
        """Return the longest end of `data` that one of the texts goes on from."""
        longest = max(map(len, self._wanted)) - 1
        for first in range(max(0, len(data) - longest), len(data)):
            end = data[first:]
            if any(len(end) < len(one) and one.startswith(end) for one in self._wanted):
                return end
        return START
