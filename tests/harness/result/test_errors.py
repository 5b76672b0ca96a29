"""What went wrong on a task stands in result.json, on the page and on the screen of its run."""

from __future__ import annotations

import json

import jsonschema

from harness import load
from harness.schema.of_task.errors import ERRORS
from tests.command_line import run


def test_a_run_of_a_task_says_what_went_wrong(tmp_path, tiny_llama):
    problems = tmp_path / "p.jsonl"
    rows = [
        {"question": f"<script> {i}", "answer": f"9 * {i} = {9 * i}\n#### {9 * i}"}
        for i in range(1, 7)
    ]
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = f"--model {tiny_llama} --task gsm8k:{problems} --mode accuracy --scenario offline"
    words += " --max-new-tokens 4 --warmup 1 --in-process"
    result, screen = run(words, tmp_path / "runs", code=None)
    task = result["task"]
    found = task["errors"]
    jsonschema.Draft202012Validator(ERRORS).validate(found)
    figure = task["scores"]["number"]
    assert found["wrong"] == figure["wrong"] + figure["no_answer"]
    assert sum(one["n"] for one in found["kinds"]) == found["wrong"] > 0
    assert f"Of {found['wrong']} wrong answers" in " ".join(screen.split())
    (page,) = (path.read_text() for path in tmp_path.glob("runs/*/report.html"))
    (folder,) = (tmp_path / "runs").iterdir()
    assert load(folder).figures["task_solved"] == figure["value"]
    head, _, body = page.partition('class="grid pictures"')
    assert "task <bdi>gsm8k:" in head
    assert f"{100 * figure['value']:.1f} % of 6 questions solved" in head
    assert f"<b>{100 * figure['value']:.1f} <small>% of 6</small>" in head
    assert body.index("Task gsm8k") < body.index("Milliseconds from")
    assert "Wrong answers by kind of error" in page
    assert "Wrong answers, some of each kind" in page
    assert "<script" not in page
