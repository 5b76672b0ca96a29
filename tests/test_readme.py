"""Every command of the README works as written, and its output blocks are of the kind the program
prints.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import pytest

from tests import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(python -m harness .+)$", README, re.M)
MODEL_FREE = [
    c for c in COMMANDS if "simulated" in c or re.search(r"harness (plan|list|doctor)", c)
]
ON_THE_MODEL = [
    c for c in COMMANDS if "harness run" in c and c not in MODEL_FREE and "my-model" not in c
]


def run(command, cwd):
    words = [sys.executable, *shlex.split(command)[1:]]
    env = {"PYTHONPATH": str(ROOT)}
    import os

    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **env},
        timeout=280,
        check=False,
    )


def test_the_readme_has_commands_of_both_kinds():
    assert len(MODEL_FREE) >= 5
    assert len(ON_THE_MODEL) >= 4


@pytest.mark.parametrize("command", MODEL_FREE)
def test_commands_without_a_model_work(command, tmp_path):
    done = run(command, tmp_path)
    assert done.returncode == (1 if "fault=" in command else 0), done.stderr
    assert done.stdout


@pytest.mark.model
@pytest.mark.parametrize("command", ON_THE_MODEL)
def test_commands_on_the_real_model_work(command, tmp_path, smollm2):
    """With fewer queries than the reader's, to be quick: the words are the README's."""
    done = run(f"{command} --min-queries 2 --num-samples 4 --max-new-tokens 4 --warmup 2", tmp_path)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1), done.stderr  # two queries are too few for some verdicts
    assert re.search(r"│ (VALID|INVALID)  ", done.stdout)


def test_its_own_model_and_report_examples_work(tmp_path, tiny_llama):
    (tmp_path / "my-model").symlink_to(tiny_llama)
    (tmp_path / "questions.jsonl").write_text(
        '{"question": "why is the sky blue"}\n{"question": "a b"}\n'
    )
    (command,) = [c for c in COMMANDS if "my-model" in c]
    done = run(f"{command} --max-new-tokens 4 --target-qps 50 --output-dir runs", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (report,) = [c for c in COMMANDS if "harness report" in c]
    (folder,) = (tmp_path / "runs").iterdir()
    assert run(report.replace("runs/NAME", str(folder)), tmp_path).returncode == 0


def test_its_compare_example_works(tmp_path, tiny_llama):
    (command,) = [c for c in COMMANDS if "harness compare" in c]
    command = command.replace("smollm2-135m", str(tiny_llama)).replace(
        "fp32,bf16,int8,nf4,lora", "fp32,bf16"
    )
    done = run(f"{command} --max-new-tokens 4 --num-samples 4 --warmup 1", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "perplexity" in done.stdout
    assert next((tmp_path / "runs").glob("*/compare.html")).is_file()


def test_its_gate_examples_work(tmp_path, tiny_llama):
    on_variants, on_folders = [c for c in COMMANDS if "harness gate" in c]
    command = on_variants.replace("smollm2-135m", str(tiny_llama)).replace(
        "bf16,int8,nf4,lora", "bf16"
    )
    done = run(f"{command} --max-new-tokens 4 --num-samples 6 --resamples 200", tmp_path)
    assert done.returncode in (0, 1), done.stderr  # a verdict, whatever it is
    assert "in brackets: by the figure alone" in done.stdout
    (place,) = (tmp_path / "runs").iterdir()
    folders = {name: next(place.glob(f"*_{name}_*")) for name in ("fp32", "bf16")}
    command = on_folders.replace("runs/FP32", str(folders["fp32"])).replace(",runs/NF4", "")
    done = run(command.replace("runs/BF16", str(folders["bf16"])), tmp_path)
    assert "in brackets: by the figure alone" in done.stdout, done.stderr


def test_its_perplexity_examples_work(tmp_path, tiny_llama):
    on_variants, on_sizes, _ = [c for c in COMMANDS if "harness perplexity" in c]
    command = on_variants.replace("smollm2-135m", str(tiny_llama)).replace(",int8,nf4,lora", "")
    more = "--num-samples 5 --stride 32"  # the tiny model's context is shorter than a story
    done = run(f"{command} {more}", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "same top" in done.stdout
    (place,) = (tmp_path / "runs").iterdir()
    assert (place / "perplexity.html").is_file()
    for name in ("small", "middle", "large"):
        (tmp_path / name).symlink_to(tiny_llama)
    text = "why is it. what is it. how is it. why not. the sky is blue."
    (tmp_path / "short.jsonl").write_text(5 * (json.dumps({"text": text}) + "\n"))
    shorter = {",instructions": "", ",./middle,./large": ",./middle", "stories": "short.jsonl"}
    for word, instead in shorter.items():
        on_sizes = on_sizes.replace(word, instead)
    done = run(on_sizes, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_own_instructions_are_read_from_the_columns_that_it_names(tmp_path, tiny_llama):
    (row,) = re.findall(r'^{"text": .+}$', README, re.M)
    (tmp_path / "texts.jsonl").write_text(f"{row}\n{row}\n")
    (command,) = [c for c in COMMANDS if "--dataset texts.jsonl" in c]
    done = run(f"{command} --model {tiny_llama} --json", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (subject,) = json.loads(done.stdout.splitlines()[-1])["subjects"]
    assert set(subject["conditions"]) == set(json.loads(row)) - {"text"} == {"vague", "specific"}


def test_its_audit_and_package_examples_work(tmp_path):
    (submission,) = [c for c in COMMANDS if "--mode submission" in c]
    assert run(submission, tmp_path).returncode == 0
    (folder,) = (tmp_path / "runs").iterdir()
    (audit,) = [c for c in COMMANDS if "harness audit" in c]
    assert run(audit.replace("NAME", folder.name), tmp_path).returncode == 0
    (package,) = [c for c in COMMANDS if "harness package" in c]
    done = run(package.replace("NAME", folder.name), tmp_path)
    assert done.returncode == 1, (
        done.stderr
    )  # what the machine cannot tell is still to be filled in
    assert "fill in" in done.stdout
    assert (tmp_path / "submission" / "open" / "acme" / "systems" / "box.json").is_file()
    (check,) = [c for c in COMMANDS if "harness check" in c]
    assert "fill in" in run(check, tmp_path).stdout


def test_the_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M)
    assert "make test" in (ROOT / ".ci" / "run").read_text()
