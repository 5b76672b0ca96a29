"""Linear layers whose weights lie as the CPU's matrix kernels want them (oneDNN's blocked layout),
neighbours together.

A plain weight is rearranged anew in every product, which for the few rows of a decode step costs
more than the product. Packed once, at load, SmolLM2-135M's vocabulary projection (576 to 49,152)
takes, in us on 2 cores with AVX-512, for
    rows          1        8       32                 1       8      32
    fp32 plain    11,900   17,200  26,500     bf16    3,500   4,800   7,600
    fp32 packed    4,200    4,600  10,200             2,500   2,600   5,500
Weights shared with an embedding then exist twice: the embedding keeps the plain ones.

Layers that see the same input (queries, keys and values; gate and up) become one product: threads
are woken once, not three times. Whichever is called first computes for all, the others find their
part waiting.

On a GPU weights lie as they are wanted. There the lean step takes such neighbours as one product, a
kernel instead of three and a copy: their weights are put into one matrix, and the layers keep
slices of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import nn

from sut.model import peak

_ROWS = 32  # the packing is a little better for batches near this size, and good for all
_LEAST_FEATURES = 64  # a LoRA's narrow matrices gain nothing, and peft reads their weights
_DTYPES = (torch.float32, torch.bfloat16)
_NEIGHBOURS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


class Product:
    """x W^T + b of several layers at once; the parts wait until each layer has fetched its own."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        weight = (
            torch.cat([layer.weight.detach() for layer in layers])
            if len(layers) > 1
            else layers[0].weight.detach()
        )
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
        self.was_read = False
        biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
        self.bias = torch.cat(biases) if biases else None
        self._sizes = [layer.out_features for layer in layers]
        self._input: torch.Tensor | None = None
        self._parts: list[torch.Tensor | None] = []

    def whole(self, x: torch.Tensor) -> torch.Tensor:
        """Return (..., out_features of all layers, one after the other)."""
        y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.packed, self.bias, "none", [], ""
        )
        return y

    def part(self, i: int, x: torch.Tensor) -> torch.Tensor:
        """Return (..., out_features of layer i) for x (..., in_features)."""
        if x is not self._input or self._parts[i] is None:
            y = self.whole(x)
            if len(self._sizes) == 1:
                return y
            self._input, self._parts = x, list(torch.split(y, self._sizes, dim=-1))
        part, self._parts[i] = self._parts[i], None
        if not any(p is not None for p in self._parts):
            self._input = None
        assert part is not None
        return part

    def own(self, i: int) -> slice:
        """Return which rows of W, and which values of b, are layer i's."""
        start = sum(self._sizes[:i])
        return slice(start, start + self._sizes[i])


class PackedLinear(nn.Module):
    """y = x W^T + b for inference on the CPU; x is (..., in_features)."""

    product: Product
    packed: torch.Tensor
    biases: torch.Tensor | None

    def __init__(self, linear: nn.Linear, product: Product | None = None, place: int = 0) -> None:
        super().__init__()
        self.in_features, self.out_features, self.dtype = (
            linear.in_features,
            linear.out_features,
            linear.weight.dtype,
        )
        self.product, self._place = product or Product([linear]), place
        self.packed, self.biases = (
            self.product.packed,
            self.product.bias,
        )  # where `weights.weigh` finds them

    @property
    def weight(self) -> torch.Tensor:
        """Return (out_features, in_features), laid out anew with each call. Whoever reads it in
        every pass is better off with the plain layer: `unpack`.
        """
        self.product.was_read = True
        return self.packed.to_dense()[self.product.own(self._place)]

    @property
    def bias(self) -> torch.Tensor | None:
        return None if self.biases is None else self.biases[self.product.own(self._place)]

    def plain(self) -> nn.Linear:
        """Return the layer as it was."""
        has_bias = self.bias is not None
        layer = nn.Linear(self.in_features, self.out_features, has_bias, device="meta")
        layer.weight = nn.Parameter(self.weight.clone(), requires_grad=False)
        if self.bias is not None:
            layer.bias = nn.Parameter(self.bias.clone(), requires_grad=False)
        return layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.product.part(self._place, x)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, dtype={self.dtype}"
        )


def pack(model: nn.Module) -> int:
    """Replace the model's plain linear layers in place; how many. Leaves alone what is not plain,
    or not on the CPU.
    """
    if not can_pack():
        return 0
    count = 0
    for owner in list(model.modules()):
        for names in _groups(owner):
            layers = [getattr(owner, name) for name in names]
            product = Product(layers)
            for place, (name, layer) in enumerate(zip(names, layers, strict=True)):
                setattr(owner, name, PackedLinear(layer, product, place))
            count += len(names)
    return count


def unpack(model: nn.Module, only_read: bool) -> int:
    """Put plain layers back in the place of packed ones, or of those alone whose weight somebody
    has read; how many. Bit for bit the weights that were packed.
    """
    count = 0
    for owner in list(model.modules()):
        for name, layer in list(owner.named_children()):
            if isinstance(layer, PackedLinear) and (layer.product.was_read or not only_read):
                setattr(owner, name, layer.plain())
                count += 1
    tie: Any = getattr(model, "tie_weights", None)
    if count and tie is not None:
        tie()
    return count


def joined(layers: Sequence[nn.Module]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return one function for layers that see the same input: their outputs, one after the other in
    the last dimension.
    """
    first = layers[0]
    product = getattr(first, "product", None)  # of packed layers, and of those in FP8
    if product is not None and all(getattr(one, "product", None) is product for one in layers):
        return product.whole
    if len(layers) == 1:
        return first
    if all(layer.weight.device.type == "cuda" for layer in layers if _is_linear(layer)):
        product = side_by_side(layers)
        if product is not None:
            return product
    return lambda x: torch.cat([layer(x) for layer in layers], dim=-1)


def side_by_side(layers: Sequence[Any]) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Return one product for plain layers of the same input, whose weights become slices of one
    matrix; None if they are not alike.
    """
    if not all(_is_linear(layer) for layer in layers):
        return None
    kinds = {(x.in_features, x.weight.dtype, x.weight.device, x.bias is None) for x in layers}
    if len(kinds) > 1:
        return None
    weight = _as_one([layer.weight for layer in layers])
    bias = None if layers[0].bias is None else _as_one([layer.bias for layer in layers])
    return lambda x: nn.functional.linear(x, weight, bias)


def _as_one(parts: Sequence[nn.Parameter]) -> torch.Tensor:
    """Return the parts, one after the other in the first dimension. They are slices of the result
    from then on, so nothing is held twice.
    """
    starts = list(accumulate((part.numel() for part in parts), initial=0))
    first = parts[0]
    shape = (sum(len(part) for part in parts), *first.shape[1:])
    if all(_begins(part, first, start) for part, start in zip(parts, starts, strict=False)):
        return first.detach().as_strided(shape, first.stride())
    whole = torch.cat([part.detach() for part in parts])
    for part, own in zip(parts, torch.split(whole, [len(part) for part in parts]), strict=True):
        part.data = own
    if whole.is_cuda:
        peak.give_back()  # what the parts took apart is of no size that is asked for again
    return whole


def _begins(part: torch.Tensor, first: torch.Tensor, start: int) -> bool:
    """Say whether a part lies `start` values behind the first one, in the same storage."""
    is_same = part.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
    is_next = part.storage_offset() == first.storage_offset() + start
    return is_same and is_next and part.is_contiguous()


def _is_linear(layer: Any) -> bool:
    """Say whether a layer is its weight and bias, and nothing hangs on it."""
    return type(layer) is nn.Linear and not (
        layer._forward_hooks or layer._forward_pre_hooks or hasattr(layer, "_hf_hook")
    )


def can_pack() -> bool:
    is_built = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return is_built and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")


def _groups(owner: nn.Module) -> Iterator[tuple[str, ...]]:
    """Return the names of an owner's plain layers: neighbours together, the others alone."""
    plain = {name: layer for name, layer in owner.named_children() if _is_plain(layer)}
    for names in _NEIGHBOURS:
        layers = [plain[name] for name in names if name in plain]
        if (
            len(layers) == len(names)
            and len({(x.in_features, x.weight.dtype, x.bias is None) for x in layers}) == 1
        ):
            yield names
            plain = {name: layer for name, layer in plain.items() if name not in names}
    yield from ((name,) for name in plain)


def _is_plain(module: Any) -> bool:
    return (
        type(module) is nn.Linear
        and module.weight.device.type == "cpu"
        and module.weight.dtype in _DTYPES
        and type(module.weight.data) is torch.Tensor  # torchao's are integers that look like floats
        and min(module.in_features, module.out_features) >= _LEAST_FEATURES
        and not hasattr(module, "_hf_hook")  # accelerate moves it about
        and "forward" not in vars(module)  # compressed-tensors rounds the input before the product
    )
