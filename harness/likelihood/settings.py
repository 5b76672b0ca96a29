"""What is to be measured: which models in which variants, on which texts? Checked before anything
is read or loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from harness.kernel.errors import BadInput, unknown
from harness.kernel.foreign.consent import Wish
from harness.kernel.places import expanded
from harness.kernel.types import short_name
from harness.likelihood import beside as perplexity_beside
from harness.likelihood import conditions as perplexity_conditions
from harness.likelihood.texts import Wanted
from harness.options.saved import model_wishes

DEFAULT_MODEL, DEFAULT_VARIANT = "smollm2-135m", "fp32"
Count = Annotated[int, Field(gt=0, le=2**31 - 1)]


def _absolute(path: Path) -> Path:
    return expanded(path).absolute()


class Settings(BaseModel):
    """What was asked for; None means the usual."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[str, ...] = (DEFAULT_MODEL,)
    variants: tuple[str, ...] = (DEFAULT_VARIANT,)
    dataset: str = "stories"
    text_column: str | None = None
    category_column: str | None = None
    split: str | None = None
    num_samples: Count | None = None
    window: Count | None = None
    stride: Count | None = None
    bos: Literal["auto", "always", "never"] = "auto"
    conditions: tuple[str, ...] = ()
    reference: str | None = None
    divergence: bool = True
    exact: bool = False
    top_k: Count | None = None
    batch_tokens: Count | None = None
    beside: tuple[Annotated[Path, AfterValidator(_absolute)], ...] = ()
    device: str = "auto"
    device_map: str | None = None
    adapter: Annotated[Path, AfterValidator(_absolute)] | None = None
    merge_adapter: bool = False
    trust_remote_code: bool = False
    in_process: bool = False
    output_dir: Path = Path("runs")

    @property
    def texts(self) -> Wanted:
        return Wanted(
            self.dataset,
            self.text_column,
            self.category_column,
            self.split,
            self.num_samples,
            self.conditions,
        )


class Subject(NamedTuple):
    """A model in a variant; `against` is the place of its reference in the series."""

    model: str
    variant: str
    folder: str
    against: int | None = None

    @property
    def label(self) -> str:
        return f"{_short(self.model)} {self.variant}"


def settings(flags: Mapping[str, Any]) -> Settings:
    """Check the flags, before anything is read or loaded. Raises BadInput."""
    given = {name: value for name, value in flags.items() if value is not None}
    if "model" in given and "models" in given:
        raise BadInput(
            "perplexity",
            "both --model and --models are given",
            "expected one of them",
            "Leave one out.",
        )
    if "model" in given:
        given["models"] = given.pop("model")
    for name in ("models", "variants", "conditions", "beside"):
        if name in given:
            given[name] = _names(name, given[name])
    try:
        made = Settings(**given)
    except ValidationError as error:
        problems = [f"--{str(e['loc'][0]).replace('_', '-')}: {e['msg']}" for e in error.errors()]
        raise BadInput(
            "perplexity", "; ".join(problems), "", "See harness perplexity --help."
        ) from None
    _check(made)
    return made


def wishes(made: Settings) -> Iterator[Wish]:
    """Yield the code, models, adapters and runs that a measurement with these settings uses."""
    adapter = None if made.adapter is None else str(made.adapter)
    yield from model_wishes(made.models, adapter, made.trust_remote_code)
    for folder in made.beside:
        yield Wish(f"the runs in {folder}", "place")


def _names(flag: str, value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if not names:
        raise BadInput(
            f"--{flag}", f"{value!r} names none", "expected names separated by commas", ""
        )
    return names


def _check(made: Settings) -> None:
    from sut.model.find import check
    from sut.precision.table import TABLE

    for model in made.models:
        check(model)
    for variant in made.variants:
        if variant not in TABLE:
            raise unknown("variant", variant, TABLE, "See python -m harness list variants.")
    for condition in made.conditions:
        if condition not in perplexity_conditions.KINDS:
            known = perplexity_conditions.KINDS
            raise unknown("--conditions", condition, known, "Choose from these.")
    if made.reference is not None and made.reference not in (*made.variants, *made.models):
        raise unknown(
            "--reference",
            made.reference,
            (*made.variants, *made.models),
            "It must be one of those that are measured.",
        )
    perplexity_beside.check(made.beside)
    if made.exact and not any(subject.against is not None for subject in subjects(made)):
        raise BadInput(
            "--exact",
            "nothing is compared with a reference",
            "expected at least two variants",
            "Add some to --variants.",
        )


def subjects(made: Settings) -> list[Subject]:
    """List every model in every variant, in order, but a reference before those that are compared
    with it.
    """
    first, others = _reference(made)
    pairs = [(model, variant) for model in made.models for variant in made.variants]
    if first in pairs:  # one for all models
        pairs = [first, *(pair for pair in pairs if pair != first)]
    elif others is not None:
        pairs.sort(key=lambda pair: (made.models.index(pair[0]), pair[1] != others))
    found = []
    for i, (model, variant) in enumerate(pairs):
        against = pairs.index(first or (model, others)) if first or others else i  # type: ignore[arg-type]
        folder = f"{i:02d}_{_short(model)}_{variant}"
        found.append(
            Subject(model, variant, folder, against if against != i and made.divergence else None)
        )
    return found


def _reference(made: Settings) -> tuple[tuple[str, str] | None, str | None]:
    """Return (the subject that all are compared with, or the variant that each model's others are
    compared with).
    """
    if made.reference in made.models and made.reference not in made.variants:
        return (made.reference, made.variants[0]), None
    if len(made.variants) > 1:
        return None, made.reference or made.variants[0]
    return None, None


def _short(model: str) -> str:
    return short_name(model).removesuffix(".gguf")
