"""How much of a model is really in few bits? Counted over what was loaded, layer by layer.

The libraries quantise linear layers. Embeddings and the output head stay as they are on purpose;
experts that a model keeps fused in one parameter, convolutions and layers that a library leaves out
stay as well, and nobody says so: a Mixtral "in nf4" weighs 98 % of its bfloat16.

`matrix_share` counts the values of all matrices but embeddings and head; the variant's name is
about those. Below `LEAST` the name would be a lie and the model is refused; below `WHOLE` a note
says how much stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from harness.kernel.errors import SetupFailed
from sut.model import findings
from sut.model.weights import packed_values, unfold

LEAST, WHOLE = 0.5, 0.95


class Matrix(NamedTuple):
    """A parameter of two dimensions or more, or the packed integers of a layer. `values` counts
    weights, not packed bytes.
    """

    name: str
    values: int
    is_quantised: bool
    is_vocabulary: bool  # an embedding or the output head


class Share(NamedTuple):
    """Shares of values in few bits: of all matrices, and of those but embeddings and head."""

    of_all: float
    of_layers: float
    largest_left: str  # the largest matrix in full precision that is neither embedding nor head


def of(model: Any) -> Share:
    matrices = list(_matrices(model))
    layers = [matrix for matrix in matrices if not matrix.is_vocabulary]
    left = [matrix for matrix in layers if not matrix.is_quantised]
    largest = max(left, key=lambda matrix: matrix.values, default=None)
    return Share(_share(matrices), _share(layers), "" if largest is None else largest.name)


def hold(model: Any, path: str) -> Any:
    """Return the model, its shares noted. Raises SetupFailed where less than half of its layers'
    values are in few bits.
    """
    share = of(model)
    if share.of_layers < LEAST:
        raise SetupFailed(
            f"loading model {path!r}",
            f"this variant would quantise {100 * share.of_layers:.2g} % of the values of its"
            f" matrices; the rest stays as it is, {share.largest_left} for one",
            f"expected at least {100 * LEAST:.0f} % for a variant of this name",
            "Use bf16, or a checkpoint that is quantised already with --variant asis.",
        )
    told = findings.of(model)
    told.facts["quantised_share"] = round(share.of_all, 4)
    told.facts["quantised_layer_share"] = round(share.of_layers, 4)
    if share.of_layers < WHOLE:
        told.notes.append(
            f"{100 * share.of_layers:.2g} % of the values of its matrices (embeddings and head"
            f" aside) are quantised; the rest stays as it is, {share.largest_left} for one"
        )
    return model


def _share(matrices: list[Matrix]) -> float:
    """Return the share of values in few bits; 0 of nothing."""
    whole = sum(matrix.values for matrix in matrices)
    return (
        sum(matrix.values for matrix in matrices if matrix.is_quantised) / whole if whole else 0.0
    )


def _looks_wider(parameter: Any) -> bool:
    """Say whether a tensor of torchao or quanto, which gives itself out as floats, holds fewer
    bytes than these would take.
    """
    import torch

    if type(parameter.data) is torch.Tensor:
        return False
    held = sum(inner.numel() * inner.element_size() for inner in unfold([parameter.data], set()))
    return 0 < held < 0.9 * parameter.numel() * parameter.element_size()


def _matrices(model: Any) -> Iterator[Matrix]:
    import torch

    vocabulary = [
        getattr(model, name)() for name in ("get_input_embeddings", "get_output_embeddings")
    ]
    seen = set()
    for place, module in model.named_modules():
        if values := packed_values(module):
            yield Matrix(f"{place}.qweight", values, True, module in vocabulary)
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            is_linear = isinstance(module, torch.nn.Linear) and name == "weight"
            if not is_linear and parameter.dim() < 2:
                continue
            values = parameter.numel()
            if is_linear:
                values = module.in_features * module.out_features
            is_few = not parameter.is_floating_point() or parameter.element_size() == 1
            is_few = is_few or _looks_wider(parameter)
            is_vocabulary = isinstance(module, torch.nn.Embedding) or module in vocabulary
            yield Matrix(f"{place}.{name}", values, is_few, is_vocabulary)
