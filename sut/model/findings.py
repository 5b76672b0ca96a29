"""What was noticed while a model was loaded, kept with the model until its facts are told.

A loader returns a model of transformers and nothing else; what it found on the way (weights that
were not used, layers that stayed as they were) would be lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_PLACE = "_touchstone_findings"


@dataclass(slots=True)
class Findings:
    """`notes` are sentences for people, `facts` go into the facts of the run. With `reads_weights`
    layers read the weights of others in every pass, so none may be packed.
    """

    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    reads_weights: bool = False


def of(model: Any) -> Findings:
    """Return what is kept with a model, to be read or added to."""
    if _PLACE not in vars(model):
        object.__setattr__(model, _PLACE, Findings())
    found: Findings = vars(model)[_PLACE]
    return found
