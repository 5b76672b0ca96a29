"""Which LoRA adapter goes with a model, and of what rank is it? Servers must be told the rank."""

from __future__ import annotations

from harness.kernel.errors import SetupFailed
from harness.kernel.foreign.parsed import read_json
from sut.precision import lora
from sut.started.order import Order


def of(order: Order) -> tuple[str, int]:
    """Return the folder and the largest rank. Raises BadInput, SetupFailed."""
    folder = lora.find(order.path, order.adapter)
    lora.check_folder(folder)
    file = folder / "adapter_config.json"
    try:
        held = read_json(file)
        return str(folder.absolute()), max(map(int, [held["r"], *_patterns(held)]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        found = f"{file.name} cannot be read ({type(error).__name__})"
        raise SetupFailed(f"the adapter {folder}", found, "expected what peft writes") from None


def _patterns(held: dict[str, object]) -> list[int]:
    """Return the ranks that single layers have."""
    pattern = held.get("rank_pattern") or {}
    return list(pattern.values()) if isinstance(pattern, dict) else []
