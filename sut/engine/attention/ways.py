"""How does the newest token of each row look at what its row holds? The ways there are.

    sdpa        torch's own attention, with a mask: it reads all positions that the step reaches
    products    two products and a softmax between them: as much is read, and a few rows keep the
                whole device busy, for the products are cut over the positions
    by length   a kernel that reads each row's position on the device and ends where the row does,
                a row in pieces that are merged (`by_length`; CUDA, with Triton)

Which one is the fastest depends on the device, the rows and their lengths: `fastest` measures.
Shapes: B rows, L positions, K key-value heads, G queries of each (a group), D head size.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch.nn import functional


class Decoding(Protocol):
    def __call__(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        mask: torch.Tensor,
        at: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        """Return what each query sees, (B, K, G, D), of queries (B, K, G, D), keys and values
        (B, K, L, D). Row i sees its positions 0 to `at`[i]; the mask, to be added to scores, is
        (B, 1, 1, L) and says the same.
        """
        ...


class Attention(NamedTuple):
    """A way, and whether its cost follows each row's own length, so that one reach is enough."""

    name: str
    attend: Decoding
    follows_length: bool = False


def sdpa(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    at: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    return functional.scaled_dot_product_attention(
        queries, keys, values, attn_mask=mask, scale=scale
    )


def products(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    at: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """See `Decoding`. Scores are float32 from the softmax on, as in the kernels of torch."""
    scores = (queries * scale) @ keys.transpose(-1, -2) + mask  # (B, K, G, L)
    return scores.softmax(-1, dtype=torch.float32).to(values.dtype) @ values


SDPA = Attention("sdpa", sdpa)
PRODUCTS = Attention("products", products)


def candidates(model: Any) -> list[Attention]:
    """Return the ways that this device and this model allow, torch's own first."""
    found = [SDPA, PRODUCTS]
    by_length = _by_length() if model.device.type == "cuda" else None
    if by_length is not None and by_length.takes(head_size(model)):
        found.append(Attention("by length", by_length.attend, follows_length=True))
    return found


def head_size(model: Any) -> int:
    """Return the size of a head."""
    config = model.config.get_text_config()
    size = getattr(config, "head_dim", None)
    return int(size or config.hidden_size // config.num_attention_heads)


def _by_length() -> Any:
    """Return the module of the kernel; None where Triton is not installed."""
    try:
        from sut.engine.attention import by_length
    except ImportError:
        return None
    return by_length
