"""What do the struck commands measure? A tiny model, the same in a GGUF file, and a few texts."""

from __future__ import annotations

import json
from pathlib import Path

from tests.gguf_helpers import tied_qwen, write_gguf


def make(folder: Path) -> dict[str, str]:
    """Write them into the folder; return their paths by the names that commands use."""
    from tests.conftest import tiny_llama_in

    texts = folder / "texts.jsonl"
    rows = ({"text": f"the cat sat on the mat {'and the dog ' * i}"} for i in range(8))
    texts.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    model = tied_qwen()
    path = write_gguf(model, folder / "tiny.gguf", None)
    return {"model": str(tiny_llama_in(folder / "llama")), "gguf": str(path), "texts": str(texts)}
