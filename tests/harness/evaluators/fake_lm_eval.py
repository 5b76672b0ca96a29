"""Plays lm-eval's part in a virtual environment of its own: asks the server, and writes a result
file of the published shape. The name of the task says how it behaves.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

flags = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
arguments = json.loads(flags["--model_args"])
task, out = flags["--tasks"], Path(flags["--output_path"])


def ask(prompt: str) -> str:
    body = {"model": arguments["model"], "prompt": prompt, "max_tokens": 4, "temperature": 0}
    key = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    headers = {"Content-Type": "application/json", **key}
    asked = urllib.request.Request(
        arguments["base_url"], json.dumps(body).encode(), headers, method="POST"
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.load(answer)["choices"][0]["text"]


def write(found: dict) -> None:
    folder = out / arguments["model"].replace("/", "__")
    folder.mkdir(parents=True)
    (folder / "results_2026-11-27T21-58-34.747243.json").write_text(json.dumps(found))


ours = [name for name in os.environ if name.startswith("PYTHONPATH") or name == "VIRTUAL_ENV"]
assert not ours, ours
print("selected", task, flush=True)
if task == "unknown":
    sys.exit("\x1b[31mValueError\x1b[0m: Tasks not found: unknown")
waited = out.parent.parent / "waited"
if task == "waits" or (task == "waits-once" and "int8" in str(out) and not waited.exists()):
    waited.touch()
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print("waiting with", left.pid, flush=True)
    time.sleep(600)
texts = [ask(f"question {number}") for number in range(int(flags.get("--limit", 4)))]
result = {
    "results": {
        task: {
            "name": task, "alias": task, "sample_len": len(texts),
            "exact_match,strict": 0.25, "exact_match_stderr,strict": 0.125,
            "acc,none": 0.5, "acc_stderr,none": "N/A",
        }
    },
    "groups": {"family": {"alias": "family", "acc,none": 0.5, "acc_stderr,none": 0.1}},
    "n-samples": {task: {"original": 100, "effective": len(texts)}},
    "higher_is_better": {task: {"exact_match": True, "acc": True}},
}  # fmt: skip
if task == "odd":
    result = {"outcome": 3}
if task == "nan":
    result["results"] = {task: {"acc,none": float("nan")}}
if task != "silent":
    write(result)
