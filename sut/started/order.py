"""What is to be served? A model in the words of the harness, whatever server it will be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.kernel.types import short_name


@dataclass(frozen=True, slots=True)
class Order:
    """`model` is what the user calls it, `path` what transformers can load. `arguments` are the
    user's own, and come last: of an option that is given twice, servers take the last.
    """

    model: str
    path: str
    variant: str = "native"
    adapter: str | None = None
    max_concurrency: int = 32
    kv_cache_bytes: int | None = None
    device: str = "auto"
    trust_remote_code: bool = False
    python: Path | None = None  # of the environment that has the server
    arguments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What requests call the model."""
        return short_name(self.model)
