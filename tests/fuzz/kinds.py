"""Which kinds of inputs are there, and how many of all are of each?"""

from __future__ import annotations

from tests.fuzz import answers, bodies, commands, folders, models, settings, tables
from tests.fuzz.lane import Kind

KINDS: dict[str, Kind] = {
    "flags": Kind(10, commands.flags),
    "toml": Kind(14, settings.toml),
    "conf": Kind(16, settings.conf),
    "jsonl": Kind(16, tables.jsonl),
    "csv": Kind(12, tables.comma_separated),
    "parquet": Kind(12, tables.parquet),
    "folders": Kind(4, folders.folders),
    "safetensors": Kind(6, models.safetensors),
    "gguf": Kind(5, models.gguf),
    "tokenizers": Kind(4, models.tokenizers),
    "templates": Kind(5, models.templates),
    "answers": Kind(112, answers.answers),  # as many as of all others: they are the quickest
    "bodies": Kind(8, bodies.bodies),
}
