"""What is a variant called in a table? By its name, and by what the name does not tell: how a
checkpoint is quantised that was taken as it is, float32 computed in TF32.

    asis (gptq-int4-g128)     fp32 (tf32)     bf16
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def precision_of(facts: Mapping[str, Any]) -> str:
    """Return what the name of a variant does not tell, out of the facts of a SUT; mostly empty."""
    parts = [str(facts.get("precision") or "")]
    if is_tf32(facts):
        parts.append("tf32")
    return ", ".join(filter(None, parts))


def is_tf32(facts: Mapping[str, Any]) -> bool:
    """Say whether a model in float32 was multiplied in TF32: no reference for others."""
    return bool(facts.get("tf32")) and facts.get("dtype") == "float32"


def named(variant: str, precision: str) -> str:
    """Return the name for people; a variant that has none, or tells it already, stays as it is."""
    if not variant or not precision or variant.endswith(f"({precision})"):
        return variant
    return f"{variant} ({precision})"
