"""How much of a text comes back in another, in the same order? Longest common subsequences, on
integers as sets of bits.

One position of the reference is one bit, so that one step per word of the other text computes a
whole row of the usual table (Hyyrö 2004, "Bit-parallel LCS-length computation revisited"). Let t[i]
be the length of the longest common subsequence of the reference's first i words and what was read
of the other text. A row says where t grows:

    flat   bit i = 1  where t[i + 1] = t[i]; in the beginning everywhere

and reading a word that stands at the bits `at` moves the growth to them: flat & at, added, carries
to the next zero.

ROUGE-Lsum asks for more than a length: *which* words of a reference sentence are in a longest
common subsequence with each sentence of the other text. Where several are equally long, the
definition is the way that rouge-score goes back through its table, from the last words of both:
take a pair of equal words; else leave out the reference's word if that costs nothing, else the
other text's. Seen from one word of the other text, with i words of the reference left, this is: go
down to the next i at which the words are equal or t grows; if equal, take it. So a step of the way
back, too, is one subtraction: it borrows from the next bit that is set. As borrowing goes upwards,
the way back reads mirrored rows.

All sentences of the reference lie side by side in one integer, with a zero between them that stops
carry and borrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

_MIRRORED_BYTES = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Positions:
    """Where the words of some lines stand, one bit each, and a stop before, between and after the
    lines.
    """

    __slots__ = ("_at", "_lasts", "_mirrored_at", "_num_bytes", "_stops", "_words")

    def __init__(self, lines: Iterable[Sequence[str]]) -> None:
        at: dict[str, int] = {}
        stops = bit = 1
        lasts = 0
        for line in lines:
            for word in line:
                bit <<= 1
                at[word] = at.get(word, 0) | bit
            lasts |= bit
            bit <<= 1
            stops |= bit
        self._at, self._mirrored_at = at, dict[str, int]()
        self._num_bytes = (bit.bit_length() + 7) // 8
        self._words = (2 * bit - 1) ^ stops
        self._stops = self._mirrored(stops)
        self._lasts = self._mirrored(lasts & ~stops)

    def longest(self, words: Iterable[str]) -> int:
        """Return the length of the longest common subsequence of `words` and all the lines, read as
        one.
        """
        num_bits = 8 * self._num_bytes
        flat = (1 << num_bits) - 1
        for at in filter(None, map(self._at.get, words)):
            grown = flat & at
            flat = (flat + grown) | (flat ^ grown)
        return flat.bit_length() - num_bits  # what t grew by at the very end was carried out on top

    def matched(self, lines: Iterable[Sequence[str]], at_most: Mapping[str, int]) -> int:
        """Return how many positions are in the longest common subsequence of their line with any of
        `lines`.

        Of those where the same word stands, `at_most` so many count.
        """
        found = 0
        for line in lines:
            found |= self._matched(line)
        return sum(
            min((found & at).bit_count(), at_most.get(word, 0))
            for word, at in self._mirrored_at.items()
            if found & at
        )

    def _matched(self, line: Sequence[str]) -> int:
        """Return those positions, mirrored, for one line."""
        known, words, size = self._at, self._words, self._num_bytes
        flat, rows, last = words, [], ""
        for word in line:
            if at := known.get(word, 0):
                grown = flat & at
                flat = ((flat + grown) | (flat ^ grown)) & words
            elif not last:
                # as the row before, or no growth yet: on the way back nothing happens here
                continue
            last = word if at else ""
            rows.append(
                (last, (at | (flat ^ words)).to_bytes(size, "little").translate(_MIRRORED_BYTES))
            )
        mirrored_at, stops = self._mirrored_at, self._stops
        here, found = self._lasts, 0
        for word, mirrored in reversed(rows):
            row = int.from_bytes(mirrored, "big") | stops
            here = row & (row ^ (row - here))
            if word:
                if word not in mirrored_at:
                    mirrored_at[word] = self._mirrored(known[word])
                equal = here & mirrored_at[word]
                found |= equal
                here += equal
        return found

    def _mirrored(self, bits: int) -> int:
        return int.from_bytes(
            bits.to_bytes(self._num_bytes, "little").translate(_MIRRORED_BYTES), "big"
        )
