"""What else is known of the same models and variants: ROUGE, exact match and speed of runs that
were made before.

Perplexity says how well a given text was expected, not how good the model's own answers are. The
two are set side by side where runs are named: a folder of `run`, or one of `compare` or `gate`,
which holds several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.kernel.errors import BadInput
from harness.kernel.foreign import parsed
from harness.kernel.places import found_at, guess
from harness.kernel.types import short_name
from harness.kernel.words.variant import named, precision_of

_SCORES = (
    "rouge1",
    "rouge2",
    "rougeL",
    "exact_match",
    "token_f1",
    "number_match",
    "gsm8k",
    "multiple_choice",
)
Row = dict[str, Any]


def check(folders: Sequence[Path]) -> None:
    """Check the folders. Raises BadInput for one without a finished run."""
    for folder in folders:
        if not any(_results(folder)):
            found = "it holds no finished run" if folder.is_dir() else found_at(folder)
            fine = "expected the folder of a run, a comparison or a gate"
            raise BadInput(f"--beside {folder}", found, fine, guess(folder) or "Check the path.")


def beside(subject: Mapping[str, Any], folders: Sequence[Path]) -> Row:
    """Return scores, tokens per second and their origin for this model in this variant; of several
    runs the first counts.
    """
    found: Row = {}
    for place, result in (pair for folder in folders for pair in _results(folder)):
        if (_short(result["model"]), result["variant"]) != (
            _short(subject["model"]),
            named(subject["variant"], precision_of(subject)),
        ):
            continue
        scores = {name: value for name, value in result["accuracy"].items() if name in _SCORES}
        speed = (
            {"answer_tokens_per_s": result["throughput"]["tokens_per_s"]}
            if result["throughput"]["tokens_per_s"]
            else {}
        )
        found = {"run": str(place)} | scores | speed | found
    return found


def _results(folder: Path) -> Iterator[tuple[Path, Row]]:
    inside = [file for file in folder.glob("*/result.json") if not file.parent.is_symlink()]
    for file in (folder / "result.json", *sorted(inside)):
        try:
            data = parsed.read_json(file)
        except (OSError, ValueError):
            continue
        if isinstance(data, dict) and str(data.get("schema", "")).startswith("touchstone.result/"):
            yield file.parent, data


def _short(model: str) -> str:
    return short_name(model).removesuffix(".gguf")
