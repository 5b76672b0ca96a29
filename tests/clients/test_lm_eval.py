"""lm-eval: its log-likelihoods through /v1/completions are those that `harness perplexity` finds in
the same model, token by token, and those that a run of ours compares choices by.
"""

from __future__ import annotations

import json
import math

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.engine.recorder import Recorder
from harness.kernel.clock import RealClock
from harness.kernel.foreign.tables import read_table
from harness.kernel.types import Sample
from sut.local_model import LocalModel

PROGRAM = "lmeval"
PAIRS = [
    ("The capital of France is", " Paris, a city on the river Seine."),
    ("Water boils at a temperature of", " one hundred degrees Celsius at sea level."),
    ("She opened the door and saw", " a naïve 日本 cat 🙂 on the mat."),
    ("def add(a, b):", "\n    return a + b\n"),
]
QUESTIONS = [
    ("Question: What is 2 + 2?\nA. 3\nB. 4\nC. 5\nD. 22\nAnswer:", [" A", " B", " C", " D"]),
    ("The capital of France is ", ["Paris", "a naïve 日本 🙂", "\n"]),
    ("Water boils at a temperature of\n\n", ["one hundred degrees", "zero"]),
    ("She opened the door and", [" saw a cat on the mat.", ",", "rogynous"]),
]
ASK = """
import json
from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI

pairs = json.loads({pairs!r})
lm = LocalCompletionsAPI(
    base_url={url!r} + "/completions", model={model!r}, tokenizer_backend="remote",
    batch_size={batch}, max_length=2048)
asked = [Instance("loglikelihood", {{}}, tuple(pair), 0) for pair in pairs]
found = lm.loglikelihood(asked)
options = {{"until": ["\\n"], "max_gen_toks": 8}}
texts = lm.generate_until([Instance("generate_until", {{}}, (pairs[0][0], options), 0)])
chat = LocalChatCompletion(base_url={url!r} + "/chat/completions", model={model!r})
said = [json.dumps([{{"role": "user", "content": "What is the capital of France?"}}])]
print(json.dumps({{"found": found, "texts": texts}}))
"""


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """The sum over the second part of each pair, as `harness perplexity` measures it."""
    place = tmp_path_factory.mktemp("ours")
    file = place / "pairs.jsonl"
    file.write_text("".join(json.dumps({"text": a + b}) + "\n" for a, b in PAIRS))
    words = ["perplexity", "--dataset", str(file), "--bos", "never", "--output-dir", str(place)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (tokens,) = place.glob("*/*/tokens.parquet")
    sums = [0.0] * len(PAIRS)
    for row in read_table(tokens).to_pylist():
        place = int(row["text"].removeprefix("text-")) - 1
        if row["end"] > len(PAIRS[place][0]):
            sums[place] -= row["nll_nats"]
    return sums


@pytest.mark.parametrize("batch", [1, 3])
def test_log_likelihoods_are_those_of_our_own_perplexity(program, served, ours, batch):
    model = served["models"][0]
    code = ASK.format(pairs=json.dumps(PAIRS), url=served["url"], model=model, batch=batch)
    found = json.loads(program.python(code).splitlines()[-1])
    for (value, _), own in zip(found["found"], ours, strict=True):
        assert math.isclose(value, own, rel_tol=1e-4)
    assert "Paris" in found["texts"][0]


def test_choices_are_as_likely_as_a_run_of_ours_finds_them(program, served, folder):
    """Questions whose context ends with white space, letters that share a pass, words that go on
    within a token.
    """
    samples = [Sample(i, q, is_plain=True, max_new_tokens=1) for i, (q, _) in enumerate(QUESTIONS)]
    clock = RealClock()
    sut = LocalModel(clock, path=folder)
    sut.load(samples, Recorder(clock))
    rows = sut.choose([(i, choices) for i, (_, choices) in enumerate(QUESTIONS)])
    ours = [nll_nats for _, losses, _ in rows for nll_nats in losses]
    pairs = json.dumps([(q, one) for q, choices in QUESTIONS for one in choices])
    code = ASK.format(pairs=pairs, url=served["url"], model=served["models"][0], batch=1)
    theirs = json.loads(program.python(code).splitlines()[-1])["found"]
    for own, (value, _) in zip(ours, theirs, strict=True):
        assert math.isclose(-own, value, rel_tol=1e-4)


def test_a_task_of_choices_is_scored(program, served, tmp_path):
    """The command line of lm-eval over a task of our own: each question has two answers."""
    rows = [
        {"q": "The capital of France is", "choices": ["Paris", "a banana"], "gold": 0},
        {"q": "Water freezes into", "choices": ["trousers", "ice"], "gold": 1},
        {"q": "The sun rises in the", "choices": ["east", "fridge"], "gold": 0},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "mine.yaml").write_text(
        "task: mine\ndataset_path: json\n"
        f"dataset_kwargs:\n  data_files: {{test: {tmp_path}/rows.jsonl}}\n"
        "test_split: test\noutput_type: multiple_choice\n"
        "doc_to_text: q\ndoc_to_choice: choices\ndoc_to_target: gold\n"
        "metric_list:\n  - metric: acc\n"
    )
    url, model = served["url"], served["models"][0]
    program.run(
        "lm_eval", "--model", "local-completions", "--tasks", "mine", "--include_path",
        str(tmp_path), "--output_path", "out", "--model_args",
        f"base_url={url}/completions,model={model},tokenizer_backend=remote,max_length=2048",
    )  # fmt: skip
    (file,) = tmp_path.glob("out/**/results*.json")
    assert json.loads(file.read_text())["results"]["mine"]["acc,none"] == 1.0
