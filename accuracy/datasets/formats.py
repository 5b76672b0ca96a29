"""What the known datasets look like, one line each: the columns they are told by, and how prompt
and reference are made.

A file is read as the first line that fits; `--dataset NAME:PATH` takes the lines of that name only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import ascii_uppercase
from typing import NamedTuple

from accuracy.datasets.rows import Row
from harness.kernel.errors import BadInput, unknown

Reference = Callable[[Row], str | None]


def column(name: str) -> Callable[[Row], str]:
    return lambda row: row.text(name)


def _none(row: Row) -> None:
    return None


class Format(NamedTuple):
    """`ids` is a column of token ids, `mark` a text that must stand in a column, `grader` which of
    MLPerf's scores a row counts for.
    """

    name: str
    columns: tuple[str, ...]
    prompt: Callable[[Row], str]
    reference: Reference = _none
    labels: tuple[str, ...] = ()
    licence: str = ""
    ids: str = ""
    mark: tuple[str, str] = ("", "")
    grader: Callable[[Row], str] = lambda row: ""

    def fits(self, row: Row) -> bool:
        if not all(name in row.cells for name in self.columns):
            return False
        column, text = self.mark
        marked = row.cells[column] if text else ""
        return isinstance(marked, str) and text in marked

    @property
    def has_kinds(self) -> bool:
        """Does a part of it keep the kinds' shares? MLPerf's files keep their first rows."""
        return bool(self.labels) and not self.ids


def _ends_in_a_number(row: Row) -> str:
    answer = row.text("answer")
    if not answer.rpartition("####")[2].strip() or "####" not in answer:
        raise row.complain(
            "answer", "no '#### n' at its end", "a solution with its number after ####"
        )
    return answer


def _solution(row: Row) -> str:
    r"""Return the written solution; it names its answer as \boxed{...}, which the answer's column
    knows exactly.
    """
    solution, answer = row.text("solution"), row.text("answer")
    return solution if "\\boxed" in solution else f"{solution}\n\\boxed{{{answer}}}"


def _choices(row: Row) -> list[str]:
    if "choices" in row.cells:
        return row.texts("choices", 2, len(ascii_uppercase))
    return [row.text(letter) for letter in "ABCD"]


def _multiple_choice(row: Row) -> str:
    lines = [
        f"{letter}. {choice}"
        for letter, choice in zip(ascii_uppercase, _choices(row), strict=False)
    ]
    return "\n".join((row.text("question"), *lines, "Answer:"))


def _letter(row: Row) -> str:
    """Return the letter of the right answer. The hub's files number the answers from 0, the
    original ones name the letter.
    """
    letters = ascii_uppercase[: len(_choices(row))]
    given = row.cells.get("answer")
    if isinstance(given, str):
        if given.strip() not in tuple(letters):
            raise row.complain("answer", ascii(given[:20]), f"a letter from A to {letters[-1]}")
        return given.strip()
    return letters[row.integer("answer", len(letters))]


def _with_system(row: Row) -> str:
    """Return the prompt without the tags of one model's chat template, which `input` has: the model
    under test brings its own.
    """
    system = row.text("system_prompt", empty=True)
    return f"{system}\n\n{row.text('question')}" if system.strip() else row.text("question")


def _instructed(row: Row) -> str:
    """Join an instruction and its input. It may say where the input goes: "... Article: {input}
    ..."; or a template per family of models.
    """
    given, text = row.cells["instruction"], row.text("input", empty=True)
    if isinstance(given, dict) and len(given) == 1:
        row = Row(row.file, row.where, {"instruction": next(iter(given.values()))})
    instruction = row.text("instruction")
    if "{input}" in instruction:
        return instruction.replace("{input}", text)
    return f"{instruction}\n\n{text}" if text.strip() else instruction


_MIXTRAL = {"OpenOrca": "rouge", "GSM8K": "gsm8k", "MBXP": "mbxp"}
_LONG = {"rouge": "rouge", "niah_em": "needle", "qa_em": "short answer"}


def _graded(name: str, graders: Mapping[str, str]) -> Callable[[Row], str]:
    """Grade by a column that names the part of the dataset, or the script's function for it."""

    def grader(row: Row) -> str:
        value = row.label(name)
        if value not in graders:
            raise row.complain(name, ascii(value[:20]), " or ".join(graders))
        return graders[value]

    return grader


def _mixtral_answer(row: Row) -> str | None:
    """Return the answer. What is known of a program is the tests that it has to pass, and that is
    no answer.
    """
    return None if row.label("dataset") == "MBXP" else row.label("gt_output")


def label(name: str) -> Callable[[Row], str]:
    """Read a column of texts or numbers."""
    return lambda row: row.label(name)


def summarise(name: str) -> Callable[[Row], str]:
    return lambda row: f"Summarise the article in at most three sentences.\n\n{row.text(name)}"


TABLE = Format("table", ("prompt",), column("prompt"), lambda row: row.text_if_any("reference"))

_IDS = "tok_input"  # MLPerf's column of the prompt's token ids, in the vocabulary of its model
# fmt: off
FORMATS = (
    TABLE,
    Format("gsm8k", ("question", "answer"), column("question"), _ends_in_a_number, (), "MIT",
        mark=("answer", "####")),
    Format("math500", ("problem", "solution", "answer"), column("problem"), _solution,
        ("subject", "level"), "MIT"),
    Format("mmlu", ("question", "choices", "answer"), _multiple_choice, _letter, ("subject",),
        "MIT"),
    Format("mmlu", ("question", *"ABCD", "answer"), _multiple_choice, _letter, ("subject",), "MIT"),
    Format("openorca", ("system_prompt", "question", "output"), _with_system, column("output"),
        ("origin",), "MIT", _IDS),
    Format("cnn-dailymail", ("instruction", "input", "output", _IDS), _instructed, column("output"),
        (), "Apache-2.0", _IDS),
    Format("cnn-dailymail", ("article", "highlights"), summarise("article"), column("highlights"),
        (), "Apache-2.0"),
    # benchmarks of several datasets; their parts are told apart by the column that comes first
    Format("mixtral-8x7b", ("dataset", "input", "gt_output", _IDS), column("input"),
        _mixtral_answer, ("dataset",), "", _IDS, grader=_graded("dataset", _MIXTRAL)),
    Format("llama3.1-405b", ("metric", "input", "gt_output", _IDS), column("input"),
        label("gt_output"), ("metric",), "", _IDS, grader=_graded("metric", _LONG)),
    Format("reasoning", ("dataset", "text_input", "ground_truth", _IDS), column("text_input"),
        label("ground_truth"), ("dataset",), "", _IDS, grader=lambda row: "reasoning"),
    Format("instructions", ("instruction", "input", "output"), _instructed, column("output")),
    Format("questions", ("question", "answer"), column("question"), column("answer")),
    Format("texts", ("text",), column("text")),
    Format("tinystories", ("text",), column("text"), licence="CDLA-Sharing-1.0"),
)
# fmt: on
NAMES = tuple(dict.fromkeys(format.name for format in FORMATS))


def of_name(name: str) -> tuple[Format, ...]:
    found = tuple(format for format in FORMATS if format.name == name)
    if not found:
        raise unknown("dataset format", name, NAMES)
    return found


def fitting(row: Row, named: tuple[Format, ...]) -> Format:
    """Return the first format that fits the first row; `named` are those that the user allows, none
    meaning all.
    """
    for format in named or FORMATS:
        if format.fits(row):
            return format
    if not named:
        return TABLE  # whose complaint says which column is missing
    if all(name in row.cells for name in named[0].columns):
        return named[0]  # whose complaint says which mark is missing
    needs = " or ".join(", ".join(format.columns) for format in named)
    found = "its columns are " + ", ".join(map(str, row.cells))
    raise BadInput(
        f"dataset {row.file} as {named[0].name}, {row.where}",
        found,
        f"needed: {needs}",
        "Check the file.",
    )
