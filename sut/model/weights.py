"""What does a model weigh? Bytes really held, each storage once: parameters, buffers, quantisation
state, adapter, offload.

Libraries keep weights in many places: bitsandbytes hangs scales on a parameter (`SCB`) or in a
state object (`absmax`, `code`, a nested state), quanto in the inner tensors of a subclass,
accelerate in the map of a hook. `weigh` walks them all.

Parameters are counted as model cards count them: a tied matrix once, and once as well where a file
stores the tied output head as a copy of the embedding, as GGUF files do. Bytes are those held, the
copy's included.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sut.checkpoint import stored

_DISK = "disk"
HEAD_MARK = "head_rounded_from_embedding"  # in config.json, written by `sut.model.convert`
_ROUNDED = 0.35  # relative error; matrices that were trained apart are about 1.4 apart


@dataclass(frozen=True, slots=True)
class Weights:
    """`parameters` counts values, not packed bytes; `bytes_on` has one entry per device, offloaded
    weights included.

    `repeated_parameters` are those of a head that repeats the embedding: held, but not counted.
    """

    bytes_on: dict[str, int]
    parameters: int
    repeated_parameters: int = 0

    @property
    def held_bytes(self) -> int:
        """In memory; what accelerate left on disk is not held."""
        return sum(size for device, size in self.bytes_on.items() if device != _DISK)


def weigh(model: Any) -> Weights:
    bytes_on: dict[str, int] = {}
    for (device, _), size in storages(model).items():
        bytes_on[device] = bytes_on.get(device, 0) + size
    repeated = _repeated(model)
    return Weights(bytes_on, sum(_value_counts(model)) - repeated, repeated)


def storages(model: Any) -> dict[tuple[str, Hashable], int]:
    """Return the bytes of everything that a module holds, each storage once, by device and
    address.
    """
    return {(device, address): size for device, address, size in _storages_of(model)}


def is_rounded_copy(model: Any) -> bool:
    """Say whether the output head is the embedding matrix, each rounded in its own way."""
    import torch

    head, embedding = _head_and_embedding(model)
    if head is None or embedding is None or torch.equal(head, embedding):
        return False
    size = float(embedding.float().norm())
    return size > 0 and float((head.float() - embedding.float()).norm()) <= _ROUNDED * size


def disk_bytes(path: str, adapter: str | Path | None = None) -> int | None:
    """Return the size of the weight files that were read, the adapter's included; None if they
    cannot be found.
    """
    folder = stored.folder_of(path)
    read = [] if folder is None else stored.files(folder)
    if not read:
        return None
    extra = Path(adapter).glob("adapter_model.*") if adapter else ()
    return sum(file.stat().st_size for file in (*read, *extra))


def _storages_of(model: Any) -> Iterator[tuple[str, Hashable, int]]:
    """Yield (device, address, bytes) of everything held, repetitions included."""
    for module in model.modules():
        held = [
            *module.parameters(recurse=False),
            *module.buffers(recurse=False),
            *_plain_attributes(module),
        ]
        for tensor in unfold(held, set()):
            if tensor.device.type != "meta":
                yield str(tensor.device), *_extent(tensor)
        for name, tensor in (
            *module.named_parameters(recurse=False),
            *module.named_buffers(recurse=False),
        ):
            if tensor.device.type == "meta":
                yield from _offloaded(module, name)


def _extent(tensor: Any) -> tuple[int, int]:
    """Return (address, bytes) of its storage, of which it may be a part; oneDNN's layout shows
    neither.
    """
    if tensor.is_mkldnn:
        return id(tensor), tensor.numel() * tensor.element_size()
    storage = tensor.untyped_storage()
    return storage.data_ptr(), storage.nbytes()


def _plain_attributes(module: Any) -> list[Any]:
    """Return tensors that are neither parameter nor buffer, and bitsandbytes' state."""
    return [value for name, value in vars(module).items() if not name.startswith("_")]


def unfold(thing: Any, seen: set[int]) -> Iterator[Any]:
    """Return plain tensors inside a tensor subclass, a quantisation state or a list of such."""
    import torch

    if isinstance(thing, list | tuple):
        for item in thing:
            yield from unfold(item, seen)
        return
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        if hasattr(thing, "__tensor_flatten__") and type(thing) not in (
            torch.Tensor,
            torch.nn.Parameter,
        ):
            inner, _ = thing.__tensor_flatten__()
            yield from unfold([getattr(thing, name) for name in inner], seen)
        else:
            yield thing
        yield from unfold(list(vars(thing).values()), seen)
    elif type(thing).__module__.startswith("bitsandbytes") and hasattr(thing, "__dict__"):
        yield from unfold(list(vars(thing).values()), seen)


def _offloaded(module: Any, name: str) -> Iterator[tuple[str, Hashable, int]]:
    """Return where accelerate keeps a parameter while its module is not running."""
    for kept in _maps(module):
        held = _in_memory(kept, name)
        if held is not None:
            yield "cpu", *_extent(held)
        else:
            yield _DISK, getattr(kept, "prefix", "") + name, _extent(kept[name])[1]


def _maps(module: Any) -> Iterator[Any]:
    """Return accelerate's maps of the module's parameters."""
    hook = getattr(module, "_hf_hook", None)
    for one in getattr(hook, "hooks", (hook,)):
        kept = getattr(one, "weights_map", None)
        if kept is not None:
            yield kept


def _in_memory(kept: Any, name: str) -> Any:
    """Return the tensor that such a map keeps in memory; None if it would have to read it."""
    kept_in = getattr(kept, "dataset", kept)
    tensors = kept_in if isinstance(kept_in, dict) else getattr(kept_in, "state_dict", {})
    return tensors.get(getattr(kept, "prefix", "") + name)


def _value_counts(model: Any) -> Iterator[int]:
    """Return the values of each parameter, tied ones once. A quantised linear layer has in x out
    weights however they are packed.
    """
    import torch

    seen = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            held = [_in_memory(kept, name) for kept in _maps(module)] if parameter.is_meta else []
            place = _place(next((one for one in held if one is not None), parameter))
            if place in seen:
                continue
            seen.add(place)
            is_matrix = isinstance(module, torch.nn.Linear) and name == "weight"
            yield module.in_features * module.out_features if is_matrix else parameter.numel()
        yield packed_values(module)


def packed_values(module: Any) -> int:
    """Return how many weights a layer of GPTQ or AWQ has, whose integers lie in a buffer; 0 for
    other modules.
    """
    packed = module._buffers.get("qweight")
    if packed is None or packed.is_floating_point():
        return 0
    return int(module.in_features) * int(module.out_features)


def _place(parameter: Any) -> Hashable:
    """Return what is the same for two parameters that are one: the object, or its memory in the
    same shape.
    """
    import torch

    is_plain = type(parameter.data) is torch.Tensor and parameter.layout == torch.strided
    if not is_plain or parameter.device.type == "meta" or not parameter.numel():
        return id(parameter)
    return str(parameter.device), parameter.data_ptr(), parameter.dtype, tuple(parameter.shape)


def _repeated(model: Any) -> int:
    """Return how many values the output head has that the embedding has already, though it is
    stored apart.
    """
    head, embedding = _head_and_embedding(model)
    if head is None or embedding is None:
        return 0
    is_marked = bool(getattr(getattr(model, "config", None), HEAD_MARK, False))
    return head.numel() if is_marked or _is_equal(head, embedding) else 0


def _is_equal(head: Any, embedding: Any) -> bool:
    """Compare; a look at a few rows spares the walk through two matrices of their own."""
    import torch

    return torch.equal(head[:8], embedding[:8]) and torch.equal(head, embedding)


def _head_and_embedding(model: Any) -> tuple[Any, Any]:
    """Return the two matrices of a language model; None and None where they are one, or not to be
    compared: of other shapes or quantised.
    """
    import torch

    found: list[Any] = []
    for getter in ("get_output_embeddings", "get_input_embeddings"):
        module = getattr(model, getter, lambda: None)()
        module = getattr(module, "base_layer", module)  # under a LoRA
        is_packed = hasattr(module, "packed")  # its `weight` is a copy
        weight = None if is_packed else getattr(module, "weight", None)
        if weight is not None and weight.device.type == "meta":
            weight = next((kept["weight"] for kept in _maps(module)), None)
        is_plain = type(weight) in (torch.Tensor, torch.nn.Parameter)
        found.append(weight.detach() if weight is not None and is_plain else None)
    head, embedding = found
    if head is None or embedding is None or _place(head) == _place(embedding):
        return None, None
    if head.shape != embedding.shape or head.dtype != embedding.dtype:
        return None, None
    if not head.is_floating_point() or head.device != embedding.device:
        return None, None
    return head, embedding
