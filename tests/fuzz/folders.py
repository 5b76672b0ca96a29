"""Folders of runs, studies and measurements in which some file was bent, cut or taken away.

Each is sent to the commands that read such a folder. A base is made once in a process, by the
program itself.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from typer.testing import CliRunner

from harness.cli import app
from harness.result.publish import publish
from tests.fuzz.inputs import ODD_TEXTS, bent, odd, raw, rotten, torn
from tests.fuzz.lane import command

_META = b"touchstone.run"
_RUN = "--sut simulated --clock virtual --output-dir runs --num-samples 8 --min-queries 8"
_BASES = {
    "run": f"run --scenario server {_RUN}",
    "single": f"run --scenario single-stream {_RUN}",
    "accuracy": f"run --scenario offline --mode accuracy {_RUN}",
    "submission": f"run --scenario offline --mode submission {_RUN}",
    "compare": f"compare --scenario offline {_RUN} --max-new-tokens 4,8",
}
_SENT = {  # what a folder is sent to, by its base
    "run": ("publish",) * 30 + ("report", "audit", "audit", "package", "compare", "gate", "resume"),
    "single": ("publish",) * 5 + ("audit",),
    "accuracy": ("publish",) * 10 + ("gate", "gate", "audit"),
    "submission": ("publish",) * 5 + ("package", "package", "resume"),
    "compare": ("resume", "compare"),
    "perplexity": ("perplexity", "beside"),
}
_OFTEN = ("run",) * 12 + ("single", "accuracy", "accuracy", "submission", "compare", "perplexity")
_STORE = tempfile.TemporaryDirectory(prefix="fuzz-bases-")


def folders(place: Path) -> Callable[[Random], None]:
    os.chdir(place)

    def send(rng: Random) -> None:
        base = rng.choice(_OFTEN)
        folder = place / "it"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(_base(base), folder)
        for _ in range(rng.choice((1, 1, 1, 2))):
            _spoil(folder, rng)
        _send(rng.choice(_SENT[base]), folder, _base(base))

    return send


def _send(to: str, folder: Path, whole: Path) -> None:
    it, other = str(folder), str(whole)
    match to:
        case "publish":
            publish(folder, page=False)
        case "compare":
            command(["compare", it, other, "--output-dir", "out"])
        case "gate":
            words = ["--candidates", it, "--output-dir", "out", "--resamples", "50"]
            command(["gate", "--reference", other, *words])
        case "package":
            command(["package", it, "--submitter", "a", "--system", "b", "--output", "tree"])
            command(["check", "tree"])
        case "beside":
            command(["compare", it, other, "--output-dir", "out"])
        case "perplexity":
            command(["perplexity", "--resume", it])
        case _:
            command([to, it])


@cache
def _base(name: str) -> Path:
    """Return a folder as the program leaves it."""
    place = Path(_STORE.name) / name
    place.mkdir()
    if name == "perplexity":
        from tests.reports.pages.likelihood.test_page import folder

        return folder(place / "it", count=3, given=("last 1",))
    before = Path.cwd()
    os.chdir(place)
    CliRunner().invoke(app, _BASES[name].split())
    os.chdir(before)
    (made,) = (place / "runs").iterdir()
    return made


def _spoil(folder: Path, rng: Random) -> None:
    """Change one file of the folder; those that everything else is made of more often."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    main = ("settings.json", "environment.json", "samples.parquet", "study.json", "rows.jsonl")
    likely = [path for path in files if path.name in main]
    file = rng.choice(likely if likely and rng.random() < 0.7 else files)
    chance = rng.random()
    if chance < 0.04:
        file.unlink()
    elif chance < 0.14:
        file.write_bytes(rotten(file.read_bytes(), rng))
    elif file.suffix in _BENT:
        try:
            _BENT[file.suffix](file, rng)
        except (ValueError, OSError):  # spoiled before, so that it cannot be read
            file.write_bytes(rotten(file.read_bytes(), rng))
    else:
        file.write_bytes(raw(torn(file.read_text(errors="surrogateescape"), rng)))


def _spoil_json(file: Path, rng: Random) -> None:
    times = rng.choice((1, 1, 2))
    if file.suffix == ".json":
        value = bent(json.loads(file.read_text()), rng, times)
        file.write_bytes(raw(json.dumps(value)))
        return
    lines = file.read_text().splitlines()
    values = [json.loads(line) for line in lines]
    values = [bent(value, rng) if rng.random() < 0.5 else value for value in values]
    file.write_bytes(raw("".join(json.dumps(value) + "\n" for value in values)))


def _spoil_parquet(file: Path, rng: Random) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    meta = dict(table.schema.metadata or {})
    if _META in meta and rng.random() < 0.6:
        value = bent(json.loads(meta[_META]), rng, rng.choice((1, 1, 2)))
        table = table.replace_schema_metadata(meta | {_META: raw(json.dumps(value))})
    elif table.num_columns:
        table = _other_column(table, rng).replace_schema_metadata(meta)
    try:
        pq.write_table(table, file)
    except (pa.ArrowException, NotImplementedError):
        file.write_bytes(b"PAR1")


def _other_column(table: Any, rng: Random) -> Any:
    """Return a table with a column less, more, or of other values; or with other rows."""
    import pyarrow as pa

    at = rng.randrange(table.num_columns)
    name, values = table.column_names[at], table.column(at).to_pylist()
    match rng.randrange(6):
        case 0:
            return table.drop_columns([name])
        case 1:
            return table.slice(0, rng.randrange(len(table) + 1))
        case 2:
            return pa.concat_tables([table, table])
        case 3:
            new: Any = [rng.choice((None, value)) for value in values]
        case 4:
            new = [odd(rng)] * len(table)
        case _:
            new = [_other_number(value, rng) for value in values]
    if rng.random() < 0.1:
        name = raw(rng.choice(ODD_TEXTS)).decode(errors="replace")
    try:
        return table.set_column(at, name, pa.array(new))
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        return table.set_column(at, name, pa.array(list(map(repr, new))))


def _other_number(value: Any, rng: Random) -> Any:
    if not isinstance(value, int) or rng.random() < 0.7:
        return value
    return rng.choice((-value, -1, 0, value * 1000, 2**31 - 1))


_BENT = {".json": _spoil_json, ".jsonl": _spoil_json, ".parquet": _spoil_parquet}
