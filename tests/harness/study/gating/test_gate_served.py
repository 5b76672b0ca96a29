"""May a server take the place of the reference? Our own, of the same model, keeps every answer."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from harness.cli import app
from tests.harness.serve.test_program import started


def test_a_server_of_the_same_model_keeps_every_answer(tiny_llama, tmp_path):
    (tmp_path / "q.jsonl").write_text(
        "".join(f'{{"prompt": "{words}", "reference": "why"}}\n' for words in QUESTIONS)
    )
    words = ["-m", "harness", "serve", "--model", str(tiny_llama), "--port", "0", "--json"]
    with started(*words) as server:
        url = json.loads(server.stdout.readline())["url"]
        asked = f"gate --model {tiny_llama} --candidates {url} --dataset {tmp_path / 'q.jsonl'}"
        done = CliRunner().invoke(
            app,
            f"{asked} --max-new-tokens 6 --resamples 200 --no-control --against reference"
            f" --in-process --output-dir {tmp_path / 'runs'}".split(),
        )
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    found = json.loads(next(tmp_path.glob("runs/*/gate.json")).read_text(encoding="utf-8"))
    (row,) = found["rows"]
    assert (row["label"], row["status"], row["identical"]) == (url, "PASS", 1.0), done.output
    assert done.exit_code == 0
    assert row["tokens_per_s"] > 0
    assert found["reference"]["tokens_per_s"] > 0
    of_server = next(Path(tmp_path / "runs").glob("*/*served*/result.json"))
    served = json.loads(of_server.read_text(encoding="utf-8"))["served"]
    assert (served["endpoint"], served["token_source"]) == ("completions", "ids")


QUESTIONS = ("why is the sky blue", "a b c", "what is d e", "how is the sample", "x y", "why why")
