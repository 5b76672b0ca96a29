"""The questions. Embedded datasets are named here; anything else is a file given by its path
(`accuracy.datasets.files`).
"""

from typing import NamedTuple

from accuracy.datasets.formats import Format, column, of_name, summarise
from harness.kernel import plugins
from harness.kernel.errors import BadInput


class Embedded(NamedTuple):
    """A JSONL file beside this one (of a plug-in: its absolute path) and how it is read; the
    format's `labels` are the columns worth grouping by.
    """

    file: str
    format: Format
    summary: str


_LICENCE = "Apache-2.0"
_QA = Format(
    "qa",
    ("question", "answer"),
    column("question"),
    column("answer"),
    ("subject", "kind"),
    _LICENCE,
)
_ARTICLES = Format(
    "articles",
    ("article", "summary"),
    summarise("article"),
    column("summary"),
    ("subject",),
    _LICENCE,
)
_STORIES = Format(
    "stories", ("text",), column("text"), labels=("category", "split"), licence=_LICENCE
)
_MIXED = Format(
    "mixed", ("text",), column("text"), labels=("category", "language"), licence=_LICENCE
)


def _like(published: str, name: str, *labels: str) -> Format:
    """Return a format of our own that is read as a published one is."""
    return of_name(published)[0]._replace(name=name, labels=labels, licence=_LICENCE)


TABLE = {
    "qa": Embedded("qa.jsonl", _QA, "200 general questions with reference answers, Apache-2.0"),
    "articles": Embedded(
        "articles.jsonl", _ARTICLES, "60 short articles with summaries, Apache-2.0"
    ),
    "stories": Embedded("stories.jsonl", _STORIES, "60 short stories for children, Apache-2.0"),
    "mixed": Embedded(
        "mixed.jsonl",
        _MIXED,
        "80 texts of five kinds: stories, news, code, data, other languages, Apache-2.0",
    ),
    "word-problems": Embedded(
        "word_problems.jsonl",
        _like("gsm8k", "word-problems", "kind"),
        "60 word problems of one to five steps with solutions, Apache-2.0",
    ),
    "subjects": Embedded(
        "subjects.jsonl",
        _like("mmlu", "subjects", "subject", "group"),
        "120 questions on twelve subjects with four choices each, Apache-2.0",
    ),
    "boxed": Embedded(
        "boxed.jsonl",
        _like("math500", "boxed", "subject", "level"),
        "40 problems in LaTeX with solutions and boxed answers, Apache-2.0",
    ),
}


def names() -> list[str]:
    """Return the names of all datasets, plug-ins included."""
    return plugins.names("dataset", TABLE)


def entry(name: str) -> Embedded:
    """Return a dataset by its name, ours or a plug-in's. Raises BadInput, SetupFailed."""
    found = plugins.find("dataset", name, TABLE)
    if not isinstance(found, Embedded):
        what = f"it is a {type(found).__name__}"
        raise BadInput(f"dataset {name!r}", what, "a plug-in must give an Embedded")
    return found
