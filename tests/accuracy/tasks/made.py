"""Files of the published shapes, with questions of our own."""

from __future__ import annotations

import csv
import json

from accuracy.tasks.load import Asked, load_task

GSM8K = {"question": "Two and three?", "answer": "2 + 3 = <<2+3=5>>5\n#### 5"}
MMLU = {"question": "Two?", "subject": "anatomy", "choices": ["1", "2", "3", "4"], "answer": 1}
ARC = {
    "question": "What is hot?",
    "choices": {"text": ["ice", "fire", "dew"], "label": ["A", "B", "C"]},
    "answerKey": "B",
}
HELLASWAG = {
    "activity_label": "Rowing",
    "ctx_a": "Two people sit in a boat.",
    "ctx_b": "they",
    "endings": ["row.", "fly.", "cook.", "dig."],
    "label": "0",
}
TRIVIAQA = {"question": "Which river?", "answer": {"aliases": ["Seine", "The Seine"]}}
MATH500 = {"problem": "Solve $2x=6$.", "solution": "Halve it: $x=\\boxed{3}$.", "answer": "3"}
HUMANEVAL = {
    "prompt": "def one():\n",
    "canonical_solution": "    return 1\n",
    "test": "def check(one):\n    assert one() == 1\n",
    "entry_point": "one",
}
MBPP = {"text": "Return 1.", "code": "def one(): return 1", "test_list": ["assert one() == 1"]}
ROWS = {
    "gsm8k": GSM8K,
    "math500": MATH500,
    "mmlu": MMLU,
    "arc": ARC,
    "hellaswag": HELLASWAG,
    "triviaqa": TRIVIAQA,
    "humaneval": HUMANEVAL,
    "mbpp": MBPP,
}


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def parquet(path, *rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def table(path, *rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def loaded(name, path, **asked):
    return load_task(Asked(f"{name}:{path}", **asked))
