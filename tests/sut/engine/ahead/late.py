"""A runner of arithmetic that answers late, and does everything in the order of its launches, as a
device does.
"""

from __future__ import annotations

from sut.engine.batching import NOT_FINITE

EOS = 0


class Late:
    """Continues each prompt's last token by counting down to EOS and beyond. Nothing is computed
    before somebody waits for it; then all that was launched before it is.
    """

    def __init__(self, max_rows, max_len=10**6, broken_at=(), packs=False, answered=()):
        self.answered = list(answered)  # does the device say so when it is asked? then no
        self.packs = packs  # a continued piece comes with whole prompts
        self.max_rows, self.max_len = max_rows, max_len
        self.rows = [None] * max_rows  # (newest token, its position)
        self.broken_at = frozenset(broken_at)  # tokens after which the logits are no numbers
        self.queue, self.launched, self.most_unheard = [], 0, 0
        self.prefilled = []
        self.in_vain = 0  # rows fed that had ended

    def launch_prefill(self, first_row, pieces, start):
        assert self.packs or not start or len(pieces) == 1
        assert first_row + len(pieces) <= self.max_rows

        def compute():
            self.prefilled.append([len(p) for p in pieces])
            tokens = []
            for i, piece in enumerate(pieces):
                row, begins = first_row + i, 0 if i else start
                assert begins == 0 or self.rows[row][1] == begins, "a piece continues its own row"
                tokens.append(self.next(piece[-1]))
                self.rows[row] = (tokens[-1], begins + len(piece))
            return tokens

        return self.launch_it(compute)

    def launch(self, positions):
        assert 0 < len(positions) <= self.max_rows
        assert max(positions) < self.max_len

        def compute():
            tokens = []
            for row, position in enumerate(positions):
                fed, at = self.rows[row]
                assert at == position, "host and device agree on positions"
                self.in_vain += fed <= EOS
                tokens.append(self.next(fed))
                self.rows[row] = (tokens[-1], at + 1)
            return tokens

        return self.launch_it(compute)

    def move(self, source, target):
        def compute():
            self.rows[target] = self.rows[source]

        self.queue.append((None, compute))

    def next(self, token):
        return NOT_FINITE if token in self.broken_at else token - 1

    def launch_it(self, compute):
        pending = PendingTokens(self)
        self.queue.append((pending, compute))
        unheard = sum(one is not None for one, _ in self.queue)
        self.most_unheard = max(self.most_unheard, unheard)
        return pending


class PendingTokens:
    def __init__(self, device):
        self.device, self.found = device, None

    def is_known(self):
        if self.device.answered and self.device.answered.pop(0):
            self.tokens()
        return self.found is not None

    def tokens(self):
        while self.found is None:
            pending, compute = self.device.queue.pop(0)
            found = compute()
            if pending is not None:
                pending.found = found
        return self.found
