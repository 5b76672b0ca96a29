"""What is a scoring process told, and what of it is refused before the weights are read?"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from harness.kernel.errors import BadInput
from harness.kernel.foreign import parsed
from harness.kernel.foreign.own_files import open_own
from sut.likelihood.passages import PLAIN, Passage
from sut.prompts.tokenizer import fingerprint

Columns = dict[str, NDArray[Any]]  # one entry per scored token of a passage


@dataclass(frozen=True)
class Job:
    """What the process is told. `texts` is a texts.parquet, `folder` the subject's; `model` are
    options of LocalModel, or those of `sut.likelihood.served` for a model behind an address.

    With `record` the distributions are kept, with `against` (the reference's folder) they are
    compared; `other` are the options of the reference itself, for the exact comparison of two
    models in one process.
    """

    texts: str
    folder: str
    model: dict[str, Any]
    bos: str = "auto"
    window: int | None = None
    stride: int | None = None
    batch_tokens: int | None = None
    conditions: tuple[str, ...] = ()
    top_k: int | None = None
    record: bool = False
    against: str | None = None
    other: dict[str, Any] | None = None

    @property
    def parts(self) -> Path:
        return Path(self.folder) / "parts"

    @property
    def distributions(self) -> Path:
        return Path(self.folder) / "distributions"

    def has(self, passage: Passage) -> bool:
        """Say whether its part is there and whole, and so is what else was to be kept of it."""
        folders = [self.parts]
        if self.record and passage.condition == PLAIN:
            folders.append(self.distributions)
        return all(is_whole(folder / passage.file) for folder in folders)


def is_whole(path: Path) -> bool:
    """Say whether an .npz file is there and can be read: a power cut may leave a part of one."""
    try:
        with open_own(path) as file, zipfile.ZipFile(file) as archive:
            return bool(archive.namelist()) and archive.testzip() is None
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error):
        return False


def check(
    job: Job,
    model_context: int | None,
    made: Sequence[Passage],
    unfit: Sequence[Mapping[str, str]],
    names: Sequence[str],
    context: int | None,
) -> None:
    """Say what cannot be scored before the weights are read. Raises BadInput."""
    if job.window is not None and model_context is not None and job.window > model_context:
        doing, found = f"--window {job.window}", f"the model's context is {model_context} tokens"
        raise BadInput(doing, found, "expected at most as many", "Lower it or leave it out.")
    if job.stride is not None and context is not None and job.stride > context:
        doing, found = f"--stride {job.stride}", f"the window is {context} tokens"
        raise BadInput(doing, found, "expected at most as many", "Lower it.")
    if not made:
        found = "none has two tokens or more"
        raise BadInput("the texts", found, "expected at least one", "See --text-column.")
    longest = max(made, key=lambda p: p.input_length)
    if job.stride is None and context is not None and longest.input_length > context:
        doing, found = f"text {names[longest.text]}", f"it has {len(longest.ids)} tokens"
        todo = f"Pass --stride {max(1, context // 2)} to score long texts in windows, or choose"
        raise BadInput(doing, found, f"the context takes {context}", f"{todo} shorter texts.")
    for kind in job.conditions:
        reasons = [f"{one['text']}: {one['reason']}" for one in unfit if one["conditions"] == kind]
        if reasons and not any(p.kind == kind for p in made):
            doing, found = f"--conditions {kind}", f"no text can be scored so; {reasons[0]}"
            todo = "Raise --window, choose other texts or leave it out."
            raise BadInput(doing, found, "a text and its context fit one window", todo)


def unlike(job: Job, tokenizer: Any, ids_sha256: str, context: int | None, longest: int) -> str:
    """Say why the distributions cannot be compared with the reference's; empty if they can.
    `longest` is the input of the longest text.
    """
    if job.against is None:
        return ""
    reference = _row_of(job.against)
    theirs, own = reference.get("tokenizer", ""), fingerprint(tokenizer)
    if theirs == own and reference.get("ids_sha256", ids_sha256) == ids_sha256:
        return _other_windows(reference.get("context", context), context, longest)
    if theirs == own:
        return (
            "its texts become other ids than the reference's, though both have one vocabulary:"
            " another start token or other rules of the tokenizer"
        )
    return (
        f"its tokenizer ({own}) is not the reference's ({theirs}): there are no distributions over"
        " the same tokens"
    )


def _other_windows(theirs: int | None, own: int | None, longest: int) -> str:
    """Say that a token is not given the same tokens before it, where windows cut a text."""
    sizes = [size for size in (theirs, own) if size is not None]
    if theirs == own or not sizes or longest <= min(sizes):
        return ""
    found = [f"{size:,}" if size is not None else "any number of" for size in (own, theirs)]
    return (
        f"its windows have {found[0]} tokens, the reference's {found[1]}: pass --window"
        f" {min(sizes)} to give both the same"
    )


def check_resumed(job: Job, ids_sha256: str) -> None:
    """Refuse to go on where an earlier start scored other ids. Raises BadInput."""
    if not (job.parts.is_dir() and (Path(job.folder) / "subject.json").exists()):
        return
    if _row_of(job.folder).get("ids_sha256", ids_sha256) != ids_sha256:
        found = "its texts become other ids than those that were scored: its tokenizer was changed"
        raise BadInput("going on", found, "expected the same ids", "Measure it anew.")


def _row_of(folder: str) -> dict[str, Any]:
    """Return what is known of a subject; nothing if its file is damaged."""
    try:
        found = parsed.read_json(Path(folder) / "subject.json")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
