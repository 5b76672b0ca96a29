"""Every command of README.md and of the pages in docs/ works as written, every link leads
somewhere, and the first page stays short.

A command that stands on several pages runs once. Those that need a model of the reader's own get a
tiny one, and those on the real model ask for fewer queries than the reader's; the words are the
page's.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from harness.cli import app
from tests import ROOT
from tests.harness.serve.fake import FakeEngine

README = (ROOT / "README.md").read_text(encoding="utf-8")
OWN_TEST = ("extend.md",)  # its example and its commands are run by a test of their own
PATHS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = {path: path.read_text(encoding="utf-8") for path in PATHS if path.name not in OWN_TEST}
LINES = [
    command
    for page in PAGES.values()
    for command in re.findall(r"^(python -m harness .+)$", page, re.M)
]
COMMANDS = list(dict.fromkeys(LINES))
HERE = "--in-process"  # tiny models: most of the time of a process of their own would be imports
MODEL_FREE = [
    c
    for c in COMMANDS
    if ("simulated" in c or re.search(r"harness (plan|list|doctor)", c))
    and "harness serve " not in c
]
ON_THE_MODEL = [
    c
    for c in COMMANDS
    if "harness run" in c and c not in MODEL_FREE and not re.search(r"my-model|--base-url|--sut", c)
]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in an empty folder, in this process: most of a new one would be imports."""
    monkeypatch.chdir(tmp_path)

    def call(command: str) -> Done:
        _, _, _, *words = shlex.split(command)
        done = CliRunner().invoke(app, words)
        return Done(done.exit_code, done.stdout, done.stderr)

    return call


def the_one(part: str) -> str:
    (command,) = [c for c in COMMANDS if part in c]
    return command


def test_the_pages_have_commands_of_every_kind_and_no_other():
    assert len(MODEL_FREE) >= 5
    assert len(ON_THE_MODEL) >= 4
    with_a_test = (
        r"my-model|--base-url|--sut "
        r"|harness (report|whatif|compare|sweep|decide|cost|resume|gate|perplexity|audit|package"
        r"|check|serve|view|judge|evaluate|family) "
    )
    others = [c for c in COMMANDS if c not in MODEL_FREE and c not in ON_THE_MODEL]
    assert not [c for c in others if not re.search(with_a_test, c)], "no test runs these"


def test_the_first_page_is_short_and_shows_a_verdict_and_a_picture():
    assert len(README.splitlines()) < 150
    assert re.search(r"^│ (VALID|INVALID)  server · smollm2-135m fp32", README, re.M)
    assert (ROOT / "docs" / "report.png").stat().st_size < 250_000
    assert "](docs/report.png)" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGES[page])
    beside = [target for target in targets if not target.startswith("https://")]
    assert not [target for target in beside if not (page.parent / target).exists()]


def test_every_page_is_linked_from_the_first():
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)\)", README))
    assert {str(page.relative_to(ROOT)) for page in PAGES if page.parent != ROOT} <= linked


def test_the_program_starts_as_a_module(tmp_path):
    command = next(c for c in MODEL_FREE if "harness list" in c)
    done = subprocess.run(
        [sys.executable, *shlex.split(command)[1:]],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("command", MODEL_FREE)
def test_commands_without_a_model_work(command, run):
    done = run(command)
    assert done.returncode == (1 if "fault=" in command else 0), done.stderr
    assert done.stdout


@pytest.mark.model
@pytest.mark.parametrize("command", ON_THE_MODEL)
def test_commands_on_the_real_model_work(command, run, smollm2):
    """With fewer queries than the reader's, to be quick: the words are the page's."""
    done = run(f"{command} --min-queries 2 --num-samples 4 --max-new-tokens 4 --warmup 2 {HERE}")
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1), done.stderr  # two queries are too few for some verdicts
    assert re.search(r"│ (VALID|INVALID)  ", done.stdout)


def test_its_own_model_and_report_examples_work(run, tmp_path, tiny_llama):
    (tmp_path / "my-model").symlink_to(tiny_llama)
    (tmp_path / "questions.jsonl").write_text(
        '{"question": "why is the sky blue"}\n{"question": "a b"}\n'
    )
    done = run(f"{the_one('my-model')} --max-new-tokens 16 --target-qps 20 --output-dir runs")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert run(the_one("harness report").replace("NAME", folder.name)).returncode == 0
    assert run(the_one("harness whatif").replace("NAME", folder.name)).returncode in (0, 1)


def test_its_examples_of_a_server_work(run, tmp_path, tiny_llama, golden):
    golden.set(tokens=4)
    commands = [c for c in COMMANDS if c.startswith("python -m harness run") and "--base-url" in c]
    assert len(commands) >= 2
    for command in commands:
        asked = command.replace("http://localhost:8000/v1", golden.url)
        asked = asked.replace("smollm2-135m", str(tiny_llama))
        done = run(f"{asked} --target-qps 90 --num-samples 8 --max-new-tokens 4 --warmup 1")
        assert done.returncode in (0, 1), done.stdout + done.stderr
        assert "Found out" in next((tmp_path / "runs").glob("*/report.html")).read_text("utf-8")


def test_its_decide_example_is_understood(run, monkeypatch):
    """The runs that it makes are those of other tests; here its words are read."""
    asked = []

    def noted(job, say, told):
        asked.append(job)
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.study.decide.decide.run", noted)
    run(the_one("harness decide --model smollm2-135m"))
    (job,) = asked
    stages = [cell.name.rpartition(": ")[2] for cell in job.cells]
    assert stages == ["speed"] * 3 + ["quality"] * 3 + ["rate"] * 3


def test_its_compare_example_works(run, tmp_path, tiny_llama):
    command = the_one("compare --model smollm2-135m --variants fp32,bf16,int8,nf4,lora").replace(
        "smollm2-135m", str(tiny_llama)
    )
    command = command.replace("fp32,bf16,int8,nf4,lora", "fp32,bf16")
    done = run(f"{command} --max-new-tokens 4 --num-samples 4 --warmup 1 {HERE}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "perplexity" in done.stdout
    assert next((tmp_path / "runs").glob("*/compare.html")).is_file()
    (folder,) = (tmp_path / "runs").iterdir()
    again = run(the_one("harness resume runs/NAME").replace("NAME", folder.name))
    assert again.returncode == done.returncode, again.stderr
    assert "perplexity" in again.stdout


def test_its_gate_examples_work(run, tmp_path, tiny_llama):
    command = the_one("--candidates bf16,int8").replace("smollm2-135m", str(tiny_llama))
    command = command.replace("bf16,int8,nf4,lora", "bf16")
    done = run(f"{command} --max-new-tokens 4 --num-samples 6 --resamples 200 {HERE}")
    assert done.returncode in (0, 1), done.stderr  # a verdict, whatever it is
    assert "The lower verdict is by the figure alone" in done.stdout
    (place,) = (tmp_path / "runs").iterdir()
    folders = {name: next(place.glob(f"*_{name}_*")) for name in ("fp32", "bf16")}
    command = the_one("runs/BF16,runs/NF4").replace("runs/FP32", str(folders["fp32"]))
    command = command.replace(",runs/NF4", "").replace("runs/BF16", str(folders["bf16"]))
    done = run(command)
    assert "The lower verdict is by the figure alone" in done.stdout, done.stderr
    own, other = (str(folders[name]) for name in ("fp32", "bf16"))
    done = run(the_one("--metric bleu").replace("runs/FP32", own).replace("runs/INT8", other))
    assert "scores 0 by BLEU" in done.stdout, done.stderr  # a random model's
    done = run(the_one("harness gate runs/*").replace("runs/*", f"{own} {other}"))
    assert "The lower verdict is by the figure alone" in done.stdout, done.stderr


def test_its_gate_on_tasks_works(run, tmp_path, tiny_llama):
    command = the_one("--task word-problems,subjects,boxed").replace(
        "smollm2-135m", str(tiny_llama)
    )
    command = command.replace("word-problems,subjects,boxed", "word-problems")
    command = command.replace("int8,nf4", "bf16")
    done = run(f"{command} --max-new-tokens 4 --num-samples 4 --shots 0 --no-control {HERE}")
    assert done.returncode == 1, done.stderr  # a random model solves nothing
    assert "there is nothing to keep" in done.stdout


def test_its_gate_of_a_server_works(run, tmp_path, tiny_llama, golden):
    golden.set(tokens=4)
    command = the_one("vllm:bf16,llama-server:Q4_K_M").replace("smollm2-135m", str(tiny_llama))
    command = command.replace(
        "bf16,vllm:bf16,llama-server:Q4_K_M,http://localhost:8000", golden.url
    )
    done = run(f"{command} --max-new-tokens 4 --num-samples 6 --resamples 200 --no-control {HERE}")
    assert done.returncode == 1, done.stdout + done.stderr  # it has another tokenizer
    found = json.loads(next((tmp_path / "runs").glob("*/gate.json")).read_text("utf-8"))
    (row,) = found["rows"]
    assert (row["label"], row["status"]) == (golden.url, "UNDECIDED")
    assert "failed: text" in row["reason"]
    assert "Speed and memory" in done.stdout


def test_its_evaluate_examples_work(run, tmp_path):
    """With a tool that plays lm-eval's part, and a server without a model."""
    from tests.harness.evaluators.fake import environment

    python = environment(tmp_path / "venv")
    command = the_one("evaluate --with lm-eval").replace("fp32,int8", "fp32").replace("100", "3")
    own = f"--tool-python {python} --sut simulated --sut-option ttft_ms=1 --tokenizer none"
    done = run(command.replace("--with lm-eval", f"--with lm-eval {own}"))
    assert done.returncode == 0, done.stderr
    (place,) = (tmp_path / "runs").iterdir()
    done = run(the_one("harness evaluate runs/A").replace("runs/A runs/B", str(place)))
    assert done.returncode == 0, done.stderr
    assert "arc_easy" in done.stdout
    (folder,) = (tmp_path / "runs").iterdir()
    again = run(
        f"{the_one('harness resume runs/FOLDER')} --trust-folder".replace("FOLDER", folder.name)
    )
    assert again.returncode == 0, again.stderr
    assert "arc_easy" in again.stdout


def test_its_metrics_example_works(run, tmp_path):
    """With modules that play the part of evaluate, and a clone with scripts of ours."""
    from tests.harness.evaluators.fake_hf import environment, script
    from tests.harness.study.gating.test_gate import answers, dataset, make

    python, same = environment(tmp_path / "venv"), "return float(predictions == references)"
    for name in ("exact_match", "squad", "sacrebleu"):
        script(tmp_path / "evaluate" / "metrics" / name / f"{name}.py", same)
    file = dataset(tmp_path, 6)
    folders = [make(tmp_path, answers(n=6), variant, file) for variant in ("fp32", "int8")]
    command = the_one("evaluate --with hf-evaluate")
    for name, folder in zip(("runs/REFERENCE", "runs/CANDIDATE"), folders, strict=True):
        command = command.replace(name, str(folder))
    done = run(command.replace("--with", f"--tool-python {python} --with"))
    assert done.returncode == 0, done.stderr
    assert "sacrebleu" in done.stdout


def test_its_family_examples_work(run, tmp_path):
    """On folders that stand for the reader's own."""
    from tests.harness.study.family.family_helpers import member, perplexity, subject
    from tests.harness.study.gating.test_gate_tasks import questions

    place, facts = tmp_path / "runs", {"parameters": 10_000_000}
    file = questions(tmp_path, 20)
    for name in ("A", "B"):
        member(place / "made", f"./{name}", "fp32", "Rw" * 10, file, **facts).rename(place / name)
    perplexity(place / "PERPLEXITY", *(subject(f"v3.{n}", "fp32", 1.0 + n / 9) for n in (0, 5)))
    done = run(the_one("harness family v3.0=runs/A"))
    assert done.returncode == 0, done.stderr
    assert "| v3.5 fp32 |" in done.stdout
    command = the_one("harness family runs/GATE")
    done = run(command.replace("GATE-ON-TASKS", "A").replace("GATE-ON-QA", "B"))
    assert done.returncode == 0, done.stderr
    assert "gsm8k solved" in " ".join(done.stdout.split())


def test_its_perplexity_example_of_variants_works(run, tmp_path, tiny_llama):
    command = the_one("harness perplexity --model ").replace("smollm2-135m", str(tiny_llama))
    command = command.replace(",int8,nf4,lora", "")
    # the tiny model's context is shorter than a story
    done = run(f"{command} --num-samples 5 --stride 32 {HERE}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "same top" in done.stdout
    (place,) = (tmp_path / "runs").iterdir()
    assert (place / "perplexity.html").is_file()


def test_its_perplexity_example_of_sizes_works(run, tmp_path, tiny_llama):
    for name in ("small", "middle", "large"):
        (tmp_path / name).symlink_to(tiny_llama)
    text = "why is it. what is it. how is it. why not. the sky is blue."
    (tmp_path / "short.jsonl").write_text(5 * (json.dumps({"text": text}) + "\n"))
    command = the_one("harness perplexity --models ./small")
    shorter = {",instructions": "", ",./middle,./large": ",./middle", "stories": "short.jsonl"}
    for word, instead in shorter.items():
        command = command.replace(word, instead)
    done = run(f"{command} {HERE}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_perplexity_of_a_server_works(run, tiny_llama):
    from tests.likelihood_server import answering

    command = the_one("perplexity --models smollm2-135m,http")
    with answering(tiny_llama) as server:
        named = {"smollm2-135m": str(tiny_llama), "http://localhost:8000/v1": server.url}
        for name, mine in named.items():
            command = command.replace(name, mine)
        done = run(f"{command} --num-samples 5 --window 40 --stride 30 {HERE}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "served: perplexity 1.000x" in " ".join(done.stdout.split())


def test_its_own_instructions_are_read_from_the_columns_that_it_names(run, tmp_path, tiny_llama):
    page = PAGES[ROOT / "docs" / "perplexity.md"]
    (row,) = re.findall(r'^{"text": .+}$', page, re.M)
    (tmp_path / "texts.jsonl").write_text(f"{row}\n{row}\n")
    done = run(
        f"{the_one('--dataset texts.jsonl --conditions')} --model {tiny_llama} --json {HERE}"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (subject,) = json.loads(done.stdout.splitlines()[-1])["subjects"]
    assert set(subject["conditions"]) == set(json.loads(row)) - {"text"} == {"vague", "specific"}


def test_its_audit_and_package_examples_work(run, tmp_path):
    assert run(the_one("--mode submission")).returncode == 0
    (folder,) = (tmp_path / "runs").iterdir()
    (plain,) = [command for command in COMMANDS if command.endswith("harness audit runs/NAME")]
    assert run(plain.replace("NAME", folder.name)).returncode == 0
    done = run(the_one("harness package").replace("NAME", folder.name))
    # what the machine cannot tell is still to be filled in
    assert done.returncode == 1, done.stderr
    assert "fill in" in done.stdout
    assert (tmp_path / "submission" / "open" / "acme" / "systems" / "box.json").is_file()
    assert "fill in" in run(the_one("harness check")).stdout


def test_its_serve_example_works(run, tiny_llama, monkeypatch):
    """Its words, over an engine that knows its answers: a real one is served in
    tests/harness/serve/test_program.py.
    """
    engine = FakeEngine(model=str(tiny_llama))
    made = []

    def start(options, *_):
        made.append(options)
        return engine

    monkeypatch.setattr("harness.serve.serve.Engine", start)
    monkeypatch.setattr("harness.serve.serve.run", lambda *_: _[-1]() or 0)
    command = the_one("harness serve --model").replace("smollm2-135m", str(tiny_llama))
    done = run(command.replace("--port 8000", "--port 0"))
    assert done.returncode == 0, done.stderr
    assert "Ctrl-C stops it." in done.stdout
    assert made[0].variant == "int8"


def test_its_view_example_works(run, tmp_path, monkeypatch):
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "result.json").write_text("{}")
    monkeypatch.setattr("harness.view.server._serve", lambda index, bound, ready: ready() or 0)
    done = run(f"{the_one('harness view')} --port 0")
    assert done.returncode == 0, done.stderr
    assert "Showing 1 run or study of" in done.stdout


def test_the_make_targets_of_the_pages_exist():
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES.values():
        for target in re.findall(r"(?:^|`)make ([\w-]+)", page, re.M):
            assert re.search(rf"^{target}:", makefile, re.M), target
    assert "make test" in (ROOT / ".ci" / "run").read_text()
