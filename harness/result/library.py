"""Which samples (the QSL) does a run draw from, and are they still the same later?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from accuracy.datasets.subset import how_drawn
from accuracy.tasks.attempts.draws import Draws, several
from harness import registry
from harness.kernel.errors import BadInput
from harness.kernel.types import Sample
from harness.loads.library import Shaped, shaped
from harness.options.settings import RunConfig
from harness.result.read import Raw
from scenarios.loads import load_of
from scenarios.loads.conversations import ConversationLoad

if TYPE_CHECKING:
    from accuracy.datasets.files import Loaded

_SIMULATED_SAMPLES = 1000


def library(config: RunConfig) -> Shaped:
    """Return the samples and where they are from, with what the load's file says of them. Raises
    BadInput if the dataset or that file cannot be read.
    """
    return shaped(config, *_drawn(config))


def _drawn(config: RunConfig) -> tuple[list[Sample], dict[str, Any]]:
    """Return the samples of the dataset. A SUT without a model gets numbered stand-ins."""
    tokens = config.tokens_per_answer
    if registry.sut_entry(config.sut).uses_dataset:
        loaded = _load(config, tokens)
        return loaded.samples, loaded.source
    numbers = range(config.num_samples or _SIMULATED_SAMPLES)
    samples = [Sample(i, f"sample {i}", max_new_tokens=tokens) for i in numbers]
    return samples, {"name": "none", "rows": len(samples)}


def samples_of(raw: Raw) -> Sequence[Sample] | None:
    """Read the dataset of a finished run again; return None if it is gone, or is another now."""
    if not raw.entry.uses_dataset:
        return ()
    saved = raw.saved["dataset"]
    if raw.config.input_tokens is not None or "load" in saved:
        return _of_load(raw, saved)
    if not _is_unchanged(raw.config, saved.get("sha256")):
        return None
    try:
        loaded = _load(raw.config, raw.saved["run"]["max_new_tokens"])
    except BadInput:
        return None
    same = loaded.source["sha256"] == saved.get("sha256")
    return loaded.samples if same and how_drawn(loaded.source) == how_drawn(saved) else None


def _of_load(raw: Raw, saved: Mapping[str, Any]) -> Sequence[Sample] | None:
    """Return the samples that a load's file or a wanted length made; only conversations have
    references.
    """
    load = load_of(raw.config.load)
    if not isinstance(load, ConversationLoad):
        return [Sample(i, "") for i in range(raw.settings.num_samples)]
    if not _has_hash(load.file, saved["load"].get("sha256")):
        return None
    try:
        return shaped(raw.config, (), {}).samples
    except BadInput:
        return None


def _is_unchanged(config: RunConfig, sha256: object) -> bool:
    """Tell whether the file is the run's, before it is read: the folder may name any file."""
    if config.task is None:
        return _has_hash(config.dataset, sha256)
    from accuracy.datasets.files import sha256 as hash_of
    from accuracy.tasks.load import find

    try:
        return hash_of(find(config.task)[1]) == sha256
    except (BadInput, OSError):
        return False


def _has_hash(dataset: str, sha256: object) -> bool:
    from accuracy.datasets.files import sha256_of

    try:
        return sha256_of(dataset) == sha256
    except (BadInput, OSError):
        return False


def _load(config: RunConfig, tokens: int) -> Loaded:
    from accuracy.datasets.files import load_dataset

    if config.task is not None:
        return _load_task(config)
    columns = config.prompt_column, config.reference_column
    return load_dataset(config.dataset, tokens, config.num_samples, *columns)


def _load_task(config: RunConfig) -> Loaded:
    from accuracy.tasks.load import Asked, load_task

    asked = Asked(
        config.task or "", config.shots, config.shots_file, config.num_samples,
        config.max_new_tokens, config.chat,
    )  # fmt: skip
    loaded, draws = load_task(asked), draws_of(config)
    source = loaded.source | {"task": loaded.source["task"] | draws.facts()}
    return replace(loaded, samples=several(loaded.samples, draws), source=source)


def draws_of(config: RunConfig) -> Draws:
    """Return how the answers to a task are drawn."""
    return Draws(config.attempts, config.temperature, config.top_p, config.sampling_seed)
