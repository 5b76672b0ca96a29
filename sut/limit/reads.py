"""Which bytes of the weights does a decode step read? All that are held, as they lie (packed,
quantised), each storage once, but for two kinds that are not read as a whole.

    embedding  a step looks up a row for each token: nothing beside the rest. Where the output head
               is the same matrix (tied), the head's product reads all of it
    experts    a token passes through a few of them: those count, and no more, so that the figure
               stays the least that a step must read

Weights that accelerate keeps elsewhere (on the CPU, on disk) count as well: they come to the device
in every step, over a slower path than its memory.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from sut.model import weights

_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
_PER_TOKEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk")

Storages = Mapping[tuple[str, Hashable], int]  # (device, address): bytes


def step_bytes(model: Any) -> int:
    """Return the bytes of weights that a decode step of one row reads at least."""
    held = weights.storages(model)
    looked_up = _only_looked_up(model, held)
    in_experts = {place for module in _experts(model) for place in weights.storages(module)}
    total, share = 0.0, _share_of_experts(model)
    for place, size in held.items():
        if place not in looked_up:
            total += size * (share if place in in_experts else 1.0)
    return int(total)


def _only_looked_up(model: Any, held: Storages) -> set[tuple[str, Hashable]]:
    """Return the storages of the input embedding that the output head does not share."""
    embedding = getattr(model, "get_input_embeddings", lambda: None)()
    head = getattr(model, "get_output_embeddings", lambda: None)()
    if embedding is None or head is None:
        return set()
    return (set(weights.storages(embedding)) - set(weights.storages(head))) & set(held)


def _experts(model: Any) -> Iterator[Any]:
    for name, module in model.named_modules():
        if name.rpartition(".")[2] == "experts":
            yield module


def _share_of_experts(model: Any) -> float:
    """Return which share of the experts a token passes through; 1 where the config does not say."""
    config = model.config.get_text_config()
    total = next((n for name in _EXPERTS if (n := getattr(config, name, None))), None)
    used = next((n for name in _PER_TOKEN if (n := getattr(config, name, None))), None)
    if not isinstance(total, int) or not isinstance(used, int):
        return 1.0
    return min(1.0, used / total)
