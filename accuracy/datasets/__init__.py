"""The questions. Embedded datasets are named here; anything else is a file given by its path (`accuracy.datasets.files`)."""

from typing import NamedTuple


class Embedded(NamedTuple):
    """A JSONL file beside this one; `prompt` and `reference` name its columns, `labels` those worth grouping by."""

    file: str
    prompt: str
    reference: str
    labels: tuple[str, ...]
    summary: str


TABLE = {
    "qa": Embedded(
        "qa.jsonl", "question", "answer", ("subject", "kind"), "200 general questions with reference answers, Apache-2.0"
    ),
}
