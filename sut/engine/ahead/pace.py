"""Is it worth being ahead? Only where the device is slower than its host.

Where launching a step takes the host longer than the device takes to compute it (a small model
whose steps are not captured), the tokens of the last step are known before the next is launched
completely: being ahead wins nothing, and each token is told a step later than it could have been.
So the engine looks, after each launch, whether the launch before had been answered by then. Some
times in a row, and steps go in turn; now and then it looks again.
"""

from __future__ import annotations

_IN_A_ROW = 4  # looks that agree
_LOOK_AGAIN = 256  # steps in turn: each look delays one token


class Pace:
    def __init__(self) -> None:
        self._answered = 0  # looks in a row that found the device waiting
        self._steps_in_turn = 0

    def goes_ahead(self) -> bool:
        """Decide the next step."""
        if self._answered < _IN_A_ROW:
            return True
        self._steps_in_turn += 1
        if self._steps_in_turn < _LOOK_AGAIN:
            return False
        self._steps_in_turn, self._answered = 0, _IN_A_ROW - 1  # the next look decides
        return True

    def saw(self, is_answered: bool) -> None:
        """Hear whether the launch before had been answered when the next one was launched."""
        self._answered = self._answered + 1 if is_answered else 0
