"""LoadGen's three log files of a run, so that MLCommons' own parsers, checkers and compliance
scripts can read it.

    mlperf_log_detail.txt      one JSON event per line: settings asked for and in force, what was
                               generated, every result
    mlperf_log_summary.txt     the same for people
    mlperf_log_accuracy.json   answers as upper-case hex of int32 little-endian token ids, and how
                               many tokens the SUT said they have

Layout, order of keys and number formats are LoadGen 6.0.17's (`%g`, two decimals, integers,
true/false; 0/1 in the summary). Different, and meant to be:
    loadgen_version and sut_name name Touchstone, and `touchstone_run_id` says whose log it is
    strings are JSON-escaped (LoadGen writes them as they are: a quote in a SUT's name breaks the
        line), and messages on a sample name it
    an undefined number is null, in the summary "undefined" (LoadGen: nan or inf, which no JSON
        parser takes)
    time_ms counts from the first issue, and results have that of the last completion; file, line
        and process are not ours
    logger_* counters are 0: nothing is logged while the clock runs
All of it is made from values; only `write` touches the disk, and never another run's logs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np

from harness.kernel.errors import BadInput
from harness.kernel.files import write_text
from harness.kernel.foreign.own_files import open_own
from harness.kernel.foreign.parsed import loads
from harness.kernel.log import RunLog
from harness.kernel.types import Int64s
from reports.mlperf.detail import MARK, detail
from reports.mlperf.facts import Generated, Header, Results, Settings
from reports.mlperf.summary import summary

__all__ = [
    "ACCURACY", "DETAIL", "MARK", "SUMMARY", "Generated", "Header", "Results", "Settings",
    "accuracy", "detail", "run_id_of", "summary", "write",
]  # fmt: skip

DETAIL, SUMMARY, ACCURACY = (
    "mlperf_log_detail.txt",
    "mlperf_log_summary.txt",
    "mlperf_log_accuracy.json",
)


def write(folder: Path, header: Header, texts: Mapping[str, str]) -> None:
    """Write the files of `texts` (name -> content), each whole or not at all. Raises BadInput over
    another run's logs.
    """
    _refuse_another_run(folder, header.run_id)
    for name in sorted(
        texts, key=lambda name: name != DETAIL
    ):  # the detail log first: it says whose the others are
        write_text(folder / name, texts[name])


def run_id_of(detail_log: Path) -> str | None:
    """Return whose log it is; None if there is none, or if it is not one of ours (the real
    LoadGen's, for one).
    """
    try:
        with TextIOWrapper(open_own(detail_log), encoding="utf-8") as lines:
            for line in lines:
                if '"touchstone_run_id"' in line:
                    return str(loads(line.removeprefix(MARK))["value"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None


def _refuse_another_run(folder: Path, run_id: str) -> None:
    found = [name for name in (DETAIL, SUMMARY, ACCURACY) if (folder / name).exists()]
    owner = run_id_of(folder / DETAIL)
    if found and owner != run_id:
        raise BadInput(
            f"writing the MLPerf logs into {folder}",
            f"{', '.join(found)} of {f'run {owner}' if owner else 'another program or run'} is"
            " there",
            "a folder without logs, or with this run's",
            "Move the logs away or choose another folder.",
        )


def accuracy(log: RunLog, logged: Iterable[int], with_tokens: bool, with_first: bool) -> str:
    """Return an entry per sample id of `logged`, in order: its answer, its first token (not
    offline) and its token count.
    """
    rows = np.fromiter(logged, np.int64)
    data, ends = _answers(log, rows)
    first, first_ids = _hex(log.first_token[rows]), log.first_token[rows].tolist()
    columns = zip(
        rows.tolist(), log.index[rows].tolist(), log.tokens_as_reported[rows].tolist(), strict=True
    )
    entries = []
    for k, (sample_id, index, count) in enumerate(columns):
        text = (
            f'{{ "seq_id" : {sample_id}, "qsl_idx" : {index}, "data" :'
            f' "{data[ends[k] : ends[k + 1]]}"'
        )
        if with_tokens and with_first:
            text += f', "token_data" : "{first[8 * k : 8 * k + 8] if first_ids[k] >= 0 else ""}"'
        entries.append(f'{text}, "token_count" : {count} }}' if with_tokens else f"{text} }}")
    if not entries:
        return "[\n]\n"
    entries[0] = (
        "[\n" + entries[0]
    )  # not around the whole text: that would copy all of it once more
    entries[-1] += "\n]\n"
    return ",\n".join(entries)


def _answers(log: RunLog, rows: Int64s) -> tuple[str, list[int]]:
    """Yield the answers of `rows`, one after the other in hex, and where each ends (after a 0)."""
    counts = np.diff(log.token_start)[rows]
    ends = np.concatenate([[0], np.cumsum(counts)])
    places = np.arange(ends[-1]) + np.repeat(log.token_start[rows] - ends[:-1], counts)
    return _hex(log.token_ids[places]), (8 * ends).tolist()


def _hex(ids: Any) -> str:
    """(t,) int32 -> eight characters each, little-endian."""
    return str(ids.astype("<i4").tobytes().hex().upper())
