"""The run folder: the border between what is timed and what is read. Writing and reading it is all
that happens here.

    settings.json  environment.json    before the clock starts: a run that dies still says what it
                                       was
    samples.parquet                    the RunLog, one row per sample; the run's other raw facts
                                       stand in its metadata
    telemetry.parquet                  the machine, once a second; its GPUs ten times
Everything else in the folder is made from these (`harness report RUN`).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.engine.dispatched.columns import seen_columns, seen_of
from harness.engine.pieces import Pieces, reason
from harness.engine.telemetry import read_rows
from harness.kernel import files
from harness.kernel.errors import BadInput, SetupFailed
from harness.kernel.foreign import parsed, raw
from harness.kernel.foreign.own_files import MOST_BYTES, MOST_LOG_BYTES, read_bytes
from harness.kernel.foreign.tables import FEW_BYTES, read_table
from harness.kernel.log import Anomaly, RunLog
from harness.kernel.places import not_a_run
from harness.kernel.privacy.secrets import hidden

TELEMETRY_LINES = "telemetry.jsonl"  # of the sampler, until the run has ended
SAMPLES, TELEMETRY = "samples.parquet", "telemetry.parquet"
RAW = ("environment.json", SAMPLES, "settings.json", TELEMETRY)
_META = b"touchstone.run"
_COLUMNS = (
    "query_id",
    "index",
    "due_ns",
    "issued_ns",
    "first_ns",
    "done_ns",
    "first_token",
    "reported_tokens",
    "finish",
)


@dataclass(slots=True)
class RunFacts:
    """Raw facts that are not about one sample."""

    run_id: str
    started_at: str  # UTC, ISO 8601
    measured_at: str = ""  # the same for the moment the clock started; empty in older runs
    sut: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    driver: dict[str, Any] = field(default_factory=dict)
    target_qps_origin: str = ""
    evaluation: dict[str, Any] = field(default_factory=dict)  # sums, see harness.result.evaluation
    notes: list[str] = field(default_factory=list)  # what a reader must know of how it was measured
    missing: list[dict[str, Any]] = field(default_factory=list)  # see `harness.engine.pieces`
    gpus: dict[str, Any] = field(default_factory=dict)  # see gpus.Metered; {} in older runs
    load: dict[str, Any] = field(default_factory=dict)  # see `harness.engine.referee.load`
    self_check: dict[str, Any] = field(default_factory=dict)  # see `protocols.SelfChecked`
    log_hashes: dict[str, str] = field(default_factory=dict)  # of logs the official LoadGen wrote
    clock_start_ns: int = 0  # what telemetry.jsonl counts from, on the machine's monotonic clock


def create(parent: Path, name: str) -> Path:
    """Make a run folder `<name>_<short id>` with some room on the disk. Raises BadInput."""
    folder = parent / f"{name}_{uuid.uuid4().hex[:6]}"
    try:
        folder.mkdir(parents=True)
        files.write_text(folder / ".probe", "x")
        (folder / ".probe").unlink()
    except OSError as error:
        raise BadInput(
            f"--output-dir {parent}",
            _obstacle(parent, error),
            "expected a folder that can be written to",
            "Choose another one.",
        ) from None
    return folder


def _obstacle(parent: Path, error: OSError) -> str:
    """Say why no folder can be made there: a file in the way is named."""
    file = next((path for path in (parent, *parent.parents) if path.is_file()), None)
    if file is not None:
        return f"{str(file)!r} is a file, not a folder"
    return (error.strerror or str(error)).lower()


def part(run: Path, name: str) -> Path:
    """Make a run folder inside another: one part of it, or one step of a search."""
    folder = run / name
    folder.mkdir()
    files.flush_folder(run)
    return folder


def read_raw(folder: Path) -> dict[str, bytes]:
    """Return the raw files that are there, by name. Raises BadInput for what is no plain file."""
    return {name: _raw(folder / name) for name in RAW if os.path.lexists(folder / name)}


def _raw(path: Path) -> bytes:
    return read_bytes(path, MOST_LOG_BYTES if path.name == SAMPLES else MOST_BYTES)


def adopt(run: Path, inner: Mapping[str, bytes]) -> dict[str, bytes]:
    """Make the raw files of a folder inside the run the run's own; return what was written."""
    written = {name: data for name, data in inner.items() if name in RAW and name != SAMPLES}
    for name, data in written.items():
        files.write_bytes(run / name, data)
    log, facts = read_log(run, inner[SAMPLES])
    facts.run_id = run.name
    return written | {SAMPLES: write_log(run, log, facts)}


def check_room(parent: Path, needed_bytes: int) -> None:
    """Refuse to measure what could not be kept afterwards. Raises BadInput."""
    there = next(
        (path for path in (parent.absolute(), *parent.absolute().parents) if path.exists()),
        Path("/"),
    )
    free_bytes = shutil.disk_usage(there).free
    if free_bytes < needed_bytes:
        raise BadInput(
            f"--output-dir {parent}",
            f"{free_bytes / 2**20:.0f} MiB are free",
            f"this run may write {needed_bytes / 2**20:.0f} MiB",
            "Make room or choose another disk.",
        )


def check_writer(folder: Path) -> None:
    """Write an empty run as one will be written after it: what cannot be kept is not measured.
    Raises SetupFailed.
    """
    path = folder / ".probe.parquet"
    try:
        _write(path, _nothing(), RunFacts("", ""), with_tokens=True)
        path.unlink()
    except Exception as fault:
        doing, fine = f"writing to {folder}", "every run ends in a samples.parquet"
        raise SetupFailed(doing, reason(fault), fine, "Repair it first.") from fault


def _nothing() -> RunLog:
    """Return the log of a run without samples."""
    n32, n64, start = np.empty(0, np.int32), np.empty(0, np.int64), np.zeros(1, np.int64)
    return RunLog(
        n32, n32, n64, n64, n64, n64, n32, n32, np.empty(0, np.int8), start, n32, start, n64, n32
    )


def write_log(folder: Path, log: RunLog, facts: RunFacts) -> bytes:
    """Write samples.parquet; return what was written. What cannot be written with its token ids
    and texts (on a full disk, say) is written without them, and says so.
    """
    try:
        return rewrite_log(folder, log, facts)
    except Exception as fault:
        pieces = Pieces(facts.missing)
        pieces.lost("file", "token ids and texts", fault, later=False)
        less = replace(facts, missing=pieces.missing)
        written = _write(folder / SAMPLES, log, less, with_tokens=False)
        facts.missing = pieces.missing
        return written


def rewrite_log(folder: Path, log: RunLog, facts: RunFacts) -> bytes:
    """Write samples.parquet again with all there is. If that fails, the file stays as it was."""
    return _write(folder / SAMPLES, log, facts, with_tokens=True)


def rescue_log(
    run: Path, log: RunLog, facts: RunFacts, described: Mapping[str, bytes], why: str
) -> tuple[Path, bytes]:
    """Keep a run whose own folder takes no more files; return a new folder, in the place for
    temporary files, one of the user's folders, or in memory, and the samples.parquet in it. Raises
    OSError.

    `described` are its JSON files by name, `why` says what is wrong with the folder.
    """
    parents = [Path(tempfile.gettempdir()), Path.cwd(), Path.home(), Path("/dev/shm")]
    for parent in parents[:-1]:
        with suppress(OSError):
            return _rescued(run, parent, log, facts, described, why)
    return _rescued(run, parents[-1], log, facts, described, why)


def _rescued(
    run: Path, parent: Path, log: RunLog, facts: RunFacts, described: Mapping[str, bytes], why: str
) -> tuple[Path, bytes]:
    place = Path(tempfile.mkdtemp(prefix=f"{run.name}_", dir=parent))
    notes = facts.notes
    facts.notes = [*notes, f"{run} took no more files ({why}): this run is kept in {place}"]
    try:
        for name, data in described.items():
            files.write_bytes(place / name, data)
        written = write_log(place, log, facts)
        for made in (*run.glob("*.log"), *run.glob("mlperf_log_*")):
            with suppress(OSError):
                files.copy(made, place / made.name)
    except BaseException:
        facts.notes = notes
        shutil.rmtree(place, ignore_errors=True)
        raise
    return place, written


def _write(path: Path, log: RunLog, facts: RunFacts, with_tokens: bool) -> bytes:
    """Write the table; return the bytes, which the run is judged by."""
    import pyarrow as pa

    n = len(log)
    rank = np.full(n, -1, np.int32)
    rank[log.completion_order] = np.arange(len(log.completion_order), dtype=np.int32)
    columns: dict[str, Any] = {"sample_id": np.arange(n, dtype=np.int32)}
    columns |= {name: getattr(log, name) for name in _COLUMNS}
    columns |= {"completion_rank": rank, "tokens": log.tokens.astype(np.int32)}
    columns |= {"error": _sparse(_without_secrets(log.errors), n)}
    if log.failures or log.seen:
        columns |= {"failure": _sparse(log.failures, n)} | seen_columns(log.seen, n)
    if log.done_delay_ns is not None:
        columns["done_delay_ns"] = log.done_delay_ns
    if with_tokens:
        columns["token_ids"] = pa.LargeListArray.from_arrays(log.token_start, log.token_ids)
        columns["token_ns"] = pa.LargeListArray.from_arrays(log.stamp_start, log.stamp_ns)
        columns["text"] = _sparse(log.texts, n)
        if log.stamp_delay_ns is not None:
            delays = pa.LargeListArray.from_arrays(log.stamp_start, log.stamp_delay_ns)
            columns["token_delay_ns"] = delays
    meta = {
        "facts": asdict(facts),
        "end": log.end,
        "end_reason": hidden(log.end_reason),
        "anomalies": log.anomalies,
        "timed_out": log.timed_out,
    }
    table = pa.table(columns).replace_schema_metadata({_META: json.dumps(meta, default=str)})
    return files.write_bytes(path, _parquet(table, "zstd"))


def _parquet(table: Any, compression: str = "snappy") -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression=compression)
    return bytes(buffer.getvalue())


def run_id_of(data: bytes) -> str:
    """Return the id of a run, of the bytes of its samples.parquet, without reading its table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    meta = parsed.loads(pq.read_schema(pa.BufferReader(data)).metadata[_META])
    return str(meta["facts"]["run_id"])


def read_log(folder: Path, data: bytes | None = None) -> tuple[RunLog, RunFacts]:
    """Return the RunLog exactly as it was, and the raw facts; of `data`, the bytes of its
    samples.parquet, where these are known. Raises BadInput if the folder holds no run.
    """
    import pyarrow as pa

    try:
        table = read_table(folder / SAMPLES, data=data)
        meta = parsed.loads(table.schema.metadata[_META])
        raw.check_columns(table, (*_COLUMNS, "completion_rank"))
        raw.check_facts(meta, f"reading {folder / SAMPLES}")
        return _log(table, meta), RunFacts(**meta["facts"])
    except (OSError, pa.ArrowException, KeyError, TypeError, AttributeError, ValueError):
        raise not_a_run(folder, "samples.parquet") from None


def _log(table: Any, meta: dict[str, Any]) -> RunLog:
    rank = table["completion_rank"].to_numpy()
    done = np.flatnonzero(rank >= 0)
    token_start, token_ids = _lists(table, "token_ids", np.int32)
    stamp_start, stamp_ns = _lists(table, "token_ns", np.int64)
    knows_delays = {"token_delay_ns", "done_delay_ns"} <= set(table.column_names)
    return RunLog(
        **{name: table[name].to_numpy() for name in _COLUMNS},
        token_start=token_start,
        token_ids=token_ids,
        stamp_start=stamp_start,
        stamp_ns=stamp_ns,
        completion_order=done[np.argsort(rank[done])].astype(np.int32),
        texts=_dense(table, "text"),
        errors=_dense(table, "error"),
        anomalies=[Anomaly(*item) for item in meta["anomalies"]],
        end=meta["end"],
        end_reason=meta["end_reason"],
        timed_out=meta.get("timed_out", {}),
        stamp_delay_ns=_lists(table, "token_delay_ns", np.int64)[1] if knows_delays else None,
        done_delay_ns=table["done_delay_ns"].to_numpy() if knows_delays else None,
        failures=_dense(table, "failure"),
        seen=seen_of(table),
    )


def write_telemetry(folder: Path, lines: Path, start_ns: int) -> bytes:
    """Turn the sampler's lines into telemetry.parquet, and return that; an empty table if nothing
    was sampled.
    """
    import pyarrow as pa

    if not lines.is_file() and (folder / "telemetry.parquet").is_file():
        return _raw(folder / TELEMETRY)  # `harness report` has done it meanwhile
    rows: Sequence[dict[str, Any]] = read_rows(lines, start_ns) if lines.is_file() else []
    names = list(dict.fromkeys(["t_ns", *(key for row in rows for key in row)]))
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    table = pa.table(columns) if rows else pa.table({"t_ns": pa.array([], pa.int64())})
    data = files.write_bytes(folder / TELEMETRY, _parquet(table))
    lines.unlink(missing_ok=True)
    return data


def _column(values: list[Any]) -> Any:
    """Return a column of telemetry.parquet; lists of nothing but null, whose type is not known, are
    null themselves.
    """
    import pyarrow as pa

    found = pa.array(values)
    is_typeless = pa.types.is_list(found.type) and pa.types.is_null(found.type.value_type)
    return pa.nulls(len(values)) if is_typeless else found


def convert_left_telemetry(folder: Path, facts: RunFacts) -> bool:
    """Turn the sampler's lines into telemetry.parquet where the run was killed before it could;
    return whether there were any.
    """
    lines = folder / TELEMETRY_LINES
    if not facts.clock_start_ns or not lines.is_file() or lines.is_symlink():
        return False
    write_telemetry(folder, lines, facts.clock_start_ns)
    return True


def read_telemetry(folder: Path, data: bytes | None = None) -> dict[str, list[Any]]:
    """Return its columns by name, of `data` where its bytes are known; nothing if there is no such
    file.
    """
    import pyarrow as pa

    try:
        table = read_table(folder / TELEMETRY, at_most=FEW_BYTES, data=data)
        columns: dict[str, list[Any]] = table.to_pydict()
    except (OSError, pa.ArrowException):  # it never was, or it was cut: the run stands without it
        return {}
    return columns


def _without_secrets(errors: Mapping[int, str]) -> dict[int, str]:
    """Return the errors of samples, secrets hidden; thousands of samples may fail alike."""
    told = {text: hidden(text) for text in set(errors.values())}
    return {i: told[text] for i, text in errors.items()}


def _sparse(values: dict[int, str], n: int) -> Any:
    """Return (n,) strings, null where there is none."""
    import pyarrow as pa

    if not values:
        return pa.nulls(n, pa.large_string())
    whole = {
        i: text.encode(errors="replace").decode() for i, text in values.items()
    }  # half an emoji is no UTF-8
    return pa.array([whole.get(i) for i in range(n)], pa.large_string())


def _dense(table: Any, name: str) -> dict[int, str]:
    if name not in table.column_names or table[name].null_count == len(table):
        return {}
    return {i: value for i, value in enumerate(table[name].to_pylist()) if value is not None}


def _lists(table: Any, name: str, dtype: type) -> tuple[Any, Any]:
    """Return (offsets, flat values) of a list column."""
    if name not in table.column_names:
        return np.zeros(len(table) + 1, np.int64), np.empty(0, dtype)
    column = table[name].combine_chunks()
    lengths = np.diff(column.offsets.to_numpy())
    return np.concatenate(([0], np.cumsum(lengths))).astype(
        np.int64
    ), column.flatten().to_numpy().astype(dtype)
