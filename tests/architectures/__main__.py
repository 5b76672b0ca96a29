"""`make architectures`: every causal architecture of the installed transformers, tiny, served and
held against the plainest loop (`sweep`). Writes docs/architectures.md.

`python -m tests.architectures gpt_neo mamba` looks at some of them and writes nothing. Exit code 1
if an answer is not the loop's, or serving crashes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import date
from importlib.metadata import version

from rich.progress import track

from tests import ROOT
from tests.architectures import sweep, tiny
from tests.architectures.sweep import LENGTHS, Row

PAGE = ROOT / "docs" / "architectures.md"
_CAUSES = ("the logits of a token change", "it is not causal: a later token moves earlier logits")


def main() -> int:
    _quiet()
    names = sys.argv[1:] or tiny.names()
    rows = [sweep.look(name) for name in track(names, "architectures")]
    for row in rows:
        print("|", " | ".join(cells(row)), "|")
    if not sys.argv[1:]:
        PAGE.write_text(page(rows), encoding="utf-8")
    return any(is_wrong(row) for row in rows)


def is_wrong(row: Row) -> bool:
    """Say whether it was served other answers than its own, or broke."""
    return row.kind == "crashed" or (row.kind == "served" and row.equal < len(LENGTHS))


def page(rows: Sequence[Row]) -> str:
    """Return docs/architectures.md."""
    versions = " and ".join(f"{name} {version(name)}" for name in ("transformers", "torch"))
    served = [row for row in rows if row.kind == "served"]
    wrong = sum(is_wrong(row) for row in rows)
    refused = sum(row.kind == "refused" for row in rows)
    counts = f"{len(served)} served, {wrong} of them wrong; {refused} refused as not causal"
    return f"""# Architectures

Every causal language model of transformers, built tiny from its configuration class, serves four
prompts of {LENGTHS[0]} to {LENGTHS[-1]} tokens beside each other, with windows of 16 tokens that
prompts and answers cross. The answers are held against the plainest loop: the whole text through
the model's own forward pass for every token, one text at a time, in float64 where the model allows
it. An answer is equal if all its tokens are.

How a model is served is found at load, for its own weights and the lengths of the run: *in flight*
(requests join and leave at every step), *static* (nobody joins until a batch has finished), *one at
a time*, or *whole passes* (no cache: the whole text for each token). A model that no way fits is
refused. A real model may be served in another way than its tiny one.

{versions} on a CPU, {date.today()}: {counts};
{len(rows) - len(served) - refused} are not built here: no tiny configuration of them is known.
`make architectures` makes this page.

| architecture | served | equal | remark |
|---|---|---|---|
{"".join(f"| {' | '.join(cells(row))} |{chr(10)}" for row in rows)}"""


def cells(row: Row) -> Iterable[str]:
    """Return what the table says of an architecture."""
    if row.kind == "served":
        return row.name, row.served, f"{row.equal} of {len(LENGTHS)}", _remark(row)
    why = _CAUSES[1] if row.error.startswith(_CAUSES[0]) else row.error
    return row.name, row.kind, "", why.replace("|", "/")


def _remark(row: Row) -> str:
    if row.distinct < 8:
        return f"its answers have {row.distinct} different tokens only; 1 - cosine {row.worst:.0e}"
    return ""


def _quiet() -> None:
    import warnings

    from transformers.utils import logging

    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()


if __name__ == "__main__":
    sys.exit(main())
