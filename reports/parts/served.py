"""Which tables does the run of a server have? What it does, how its answers came, how requests
failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.kernel.words.figure import number
from reports.blocks import Column, Table, word_column

_NO_TIMES: Mapping[str, Any] = {"n": 0}


def server(result: Mapping[str, Any]) -> Table | None:
    """Return what was found out of the server before the clock started."""
    served = result.get("served") or {}
    if not served:
        return None
    rows = [
        ("address", str(served.get("url", ""))),
        ("model", str(served.get("model", ""))),
        ("asked by", f"/{_path(served)}"),
        *((str(row["what"]), str(row["found"])) for row in served.get("does", ())),
    ]
    note = "Found out by a few requests before the clock started."
    return _named("What the server does", "property", rows, note)


def answers(result: Mapping[str, Any]) -> Table | None:
    """Return how the answers came, beyond the latencies of every run."""
    served = result.get("served") or {}
    rows = list(_answers(served)) if served else []
    return _named("Answers of the server", "how they came", rows) if rows else None


def failures(result: Mapping[str, Any]) -> Table | None:
    """Return the ways in which requests failed, each with an example."""
    rows = [
        (row["failure"], row["samples"], row["meaning"], row["example"], row["detail"])
        for row in (result.get("served") or {}).get("failures", ())
    ]
    if not rows:
        return None
    columns = (
        word_column("failure", "failure"), Column("samples", "samples"),
        word_column("meaning", "meaning"), Column("example", "for example, sample"),
        word_column("detail", "what came"),
    )  # fmt: skip
    return Table("Failures", columns, rows, "Their times are in no latency.")


def _named(title: str, head: str, rows: list[tuple[str, str]], note: str = "") -> Table:
    """Return a table as wide as its words; pairs are for figures."""
    return Table(title, (word_column("what", head), word_column("found", "found")), rows, note)


def _path(served: Mapping[str, Any]) -> str:
    return "chat/completions" if served.get("endpoint") == "chat" else "completions"


def _answers(served: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    content, chunks = served.get("first_content_ms") or _NO_TIMES, served.get("chunks") or {}
    if content["n"]:
        yield "first visible token", _times(content)
    queue = served.get("queue_ms") or _NO_TIMES
    if queue["n"]:
        yield "queue, as it says", _times(queue)
    if chunks.get("pieces"):
        per = chunks["tokens_per_piece"]
        largest = chunks.get("largest")
        most = f", at most {largest} at once" if largest else ""
        yield "pieces", f"{chunks['pieces']:,}, {number(per)} tokens each on average{most}"
    if cached := served.get("cached"):
        share = 100 * cached["cached"] / max(cached["prompt"], 1)
        words = f"{cached['cached']:,} of {cached['prompt']:,} tokens ({number(share)} %)"
        yield "prompts known before", f"{words}, {cached['source']}"
    if served.get("retries"):
        yield "retries", f"{served['retries']:,}"


def _times(row: Mapping[str, Any]) -> str:
    return f"p50 {number(row['p50'])} ms, p99 {number(row['p99'])} ms"
