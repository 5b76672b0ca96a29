"""Which kinds of inputs are there, and how many of all are of each?"""

from __future__ import annotations

from tests.fuzz import commands, folders, settings, tables
from tests.fuzz.lane import Kind

KINDS: dict[str, Kind] = {
    "flags": Kind(20, commands.flags),
    "toml": Kind(12, settings.toml),
    "conf": Kind(14, settings.conf),
    "jsonl": Kind(14, tables.jsonl),
    "csv": Kind(10, tables.comma_separated),
    "parquet": Kind(10, tables.parquet),
    "folders": Kind(6, folders.folders),
}
