"""Wherever a user names a thing: does a wrong name get four facts and exit code 2 or 3?

Each case is a command line. Nothing is loaded, fetched or made: what is wrong with a name is said
before. (Of a hub id nobody knows that before the hub is asked: see the end.)
"""

from __future__ import annotations

import re
import shlex

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.errors import SetupFailed
from sut.model import faults

FOUR_FACTS = re.compile(r"error: (?P<doing>.+?): (?P<found>.+); (?P<fine>.+)\. (?P<todo>.+[.?])$")
NEVER = ("Traceback", "Errno", "Error:", "Error(", "unexpected", "bug")
RUN = "run --scenario server "

# command line: words of the answer
DOORS = {
    RUN + "--model ./nope": ["there is no such file or folder", "a hub id"],
    RUN + "--model ./modle": ["Did you mean 'model'?"],
    RUN + "--model ''": ["the name is empty", "list models"],
    RUN + "--model smollm2": ["'smollm2' is not known", "Did you mean 'smollm2-135m'?"],
    RUN + "--model ./hollow": ["the folder is empty"],
    RUN + "--model hollow": ["the folder is empty"],
    RUN + "--model notes": ["the folder has no config.json"],
    RUN + "--model ggufs": ["no config.json", "Pass the file: --model ggufs/m.gguf."],
    RUN + "--model nested": ["no config.json", "Pass --model nested/model."],
    RUN + "--model hub": ["no config.json", "Pass a folder inside hub/snapshots."],
    RUN + "--model adapter": ["it is a LoRA adapter", "--variant lora --adapter adapter"],
    RUN + "--model text.gguf": ["it is not a GGUF file despite its name"],
    RUN + "--model gone.gguf": ["there is no such file or folder"],
    RUN + "--model weights.bin": ["but not a .gguf file", "Pass the model's folder."],
    RUN + "--model renamed.bin": ["but not a .gguf file", "Rename it to end in .gguf."],
    RUN + "--model link": ["it is a link to /nowhere, which does not exist"],
    RUN + "--model https://huggingface.co/a/b/tree/main": ["a web address", "Pass --model a/b."],
    RUN + "--model https://example.com/x": ["a web address", "Download it"],
    RUN + "--model ~nobody-here/x": ["there is no such file or folder"],
    RUN + "--model a/b/c": ["there is no such file or folder"],
    RUN + "--variant fp99": ["'fp99' is not known", "list variants"],
    RUN + "--profile llama3": ["'llama3' is not known", "list profiles"],
    "run --scenario servr": ["'servr' is not known", "Did you mean 'server'?"],
    "run --sut simulated": ["--scenario is missing", "Pass --scenario server"],
    RUN + "--variant lora --adapter ./nope": ["no such file or folder", "a folder that peft wrote"],
    RUN + "--variant lora --adapter a/b": ["no such file or folder", "hf download"],
    RUN + "--variant lora --adapter hollow": ["it has no adapter_config.json"],
    RUN + "--variant lora --adapter qa.jsonl": ["it is a file"],
    RUN + "--dataset ''": ["the name is empty", "list datasets"],
    RUN + "--dataset storys": ["'storys' is not known", "Did you mean 'stories'?"],
    RUN + "--dataset squad": ["none is fetched from the hub", "Download one of its files"],
    RUN + "--dataset openai/gsm8k": ["fetched from the hub", "--dataset gsm8k:FILE"],
    RUN + "--dataset gsm8k": ["a format needs a file", "--dataset gsm8k:FILE"],
    RUN + "--dataset https://x.org/a.jsonl": ["a web address", "Download it"],
    RUN + "--dataset ./qb.jsonl": ["no such file or folder", "Did you mean 'qa.jsonl'?"],
    RUN + "--dataset gsm8k:qb.jsonl": ["no such file or folder", "Did you mean 'qa.jsonl'?"],
    RUN + "--dataset .": ["files of several kinds", "Pass a file, such as"],
    RUN + "--dataset empty.jsonl": ["the file is empty"],
    RUN + "--dataset plain": ["its name has no ending"],
    RUN + "--user-conf nope": ["no such file or folder", "LoadGen configuration"],
    RUN + "--user-conf notes": ["it is a folder"],
    RUN + "--config nope.toml": ["no such file or folder", "expected a TOML file"],
    RUN + "--config notes": ["it is a folder", "expected a TOML file"],
    RUN + "--config plain": ["it is not TOML", "Correct the line."],
    RUN + "--sut simulated --clock virtual --output-dir plain": ["'plain' is a file, not a folder"],
    RUN + "--sut simulated --clock virtual --output-dir plain/x": ["'plain' is a file, not a"],
    "report nope": ["no such file or folder", "the folder of a finished run"],
    "report plain": ["it is a file", "the folder of a finished run"],
    "report hollow": ["it is an empty folder"],
    "report study": ["a comparison of runs", "Name one of its runs: study/one."],
    "report runs": ["it is no run itself, but holds some", "runs/one, runs/two."],
    "report broken": ["its run ended before anything was measured", "See broken/sut.log."],
    "compare": ["nothing to compare is named", "--variants fp32,bf16"],
    "compare nope": ["no such file or folder"],
    "compare study": ["a comparison of runs", "study/one"],
    "compare --variants fp99": ["'fp99' is not known"],
    "compare --variants fp32 --model ./nope": ["no such file or folder"],
    "sweep": ["nothing to sweep is named", "--target-qps 1,2,4..64"],
    "sweep --variant fp32,fp99": ["'fp99' is not known"],
    "sweep --model ./nope,smollm2-135m": ["no such file or folder"],
    "sweep --plan nope.toml": ["no such file or folder", "expected a TOML file"],
    "sweep --plan plain": ["it is not TOML", "Correct the line."],
    "gate": ["nothing to judge is named"],
    "gate --candidates fp99": ["'fp99' is not known"],
    "gate --candidates bf16 --model ./nope": ["no such file or folder"],
    "gate --reference ./nope --candidates ./nope": ["no such file or folder"],
    "gate --reference study --candidates study": ["a comparison of runs", "study/one"],
    "audit nope": ["no such file or folder"],
    "audit study": ["a comparison of runs", "study/one"],
    "package nope --submitter a --system b": ["no such file or folder"],
    "package study --submitter a --system b": ["a comparison of runs", "study/one"],
    "package hollow --submitter a --system b": ["it is an empty folder"],
    "perplexity --model ./nope": ["no such file or folder"],
    "perplexity --models a,b": ["'a' is not known"],
    "perplexity --variants fp99": ["'fp99' is not known"],
    "perplexity --dataset squad": ["none is fetched from the hub"],
    "perplexity --dataset hollow": ["it is a folder"],
    "perplexity --beside nope": ["no such file or folder", "a comparison or a gate"],
    "perplexity --beside hollow": ["it holds no finished run"],
    "perplexity --resume nope": ["no such file or folder"],
    "perplexity --resume study": ["it holds no measurement of perplexity"],
    "perplexity --conditions none": ["'none' is not known"],
    "perplexity --dataset qa.jsonl --text-column question --conditions instructions": [
        "has the columns question, answer", "vague or specific or paraphrased",
    ],
    "list model": ["'model' is not known", "Did you mean 'models'?"],
}  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A folder of things that can be named by mistake."""
    place = tmp_path_factory.mktemp("doors")
    for folder in ("hollow", "notes", "study/one", "runs/one", "runs/two", "nested/model"):
        (place / folder).mkdir(parents=True)
    for folder in ("ggufs", "adapter", "model", "broken", "hub/snapshots/abc"):
        (place / folder).mkdir(parents=True)
    files = {
        "plain": "hello\n", "empty.jsonl": "", "qa.jsonl": '{"question": "a", "answer": "b"}\n',
        "text.gguf": "no", "weights.bin": "x", "renamed.bin": "GGUF", "notes/a.txt": "x",
        "ggufs/m.gguf": "GGUF", "nested/model/config.json": "{}", "model/config.json": "{}",
        "adapter/adapter_config.json": "{}", "study/compare.json": "{}", "broken/sut.log": "oh",
        "broken/settings.json": "{}", "study/one/result.json": "{}",
        "runs/one/result.json": "{}", "runs/two/result.json": "{}",
    }  # fmt: skip
    for name, text in files.items():
        (place / name).write_text(text)
    (place / "link").symlink_to("/nowhere")
    return place


@pytest.mark.parametrize("line", DOORS)
def test_a_wrong_name_is_answered_with_four_facts(line, house, monkeypatch):
    monkeypatch.chdir(house)
    done = CliRunner().invoke(app, shlex.split(line))
    (error,) = [text for text in done.stderr.splitlines() if text.startswith("error:")]
    assert done.exit_code in (2, 3)
    assert FOUR_FACTS.fullmatch(error), error
    assert not [word for word in DOORS[line] if word not in error], error
    assert not [word for word in NEVER if word in error], error
    assert not list((house / "runs").glob("2*"))


@pytest.mark.parametrize(
    "line", ["report ''", "compare ''", "audit x --with ''", RUN + "--output-dir ''"]
)
def test_an_empty_path_is_not_taken_for_the_folder_that_we_are_in(line):
    done = CliRunner().invoke(app, shlex.split(line))
    assert done.exit_code == 2
    assert "it is empty; expected a path" in " ".join(done.stderr.replace("│", "").split())


# ---- the hub's words, as its library and transformers put them


class RepositoryNotFoundError(OSError):
    """Named as the hub's own."""


class LocalEntryNotFoundError(OSError):
    """Named as the hub's own."""


def hub(name, error, cause=None):
    """What a user reads when loading `name` ends with this error."""
    with pytest.raises(SetupFailed) as caught, faults.loading(name):
        raise error from cause
    assert all(caught.value.facts)
    return str(caught.value)


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A hub's cache with one model in it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--Qwen--Qwen2.5-0.5B-Instruct" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")


def test_a_hub_id_that_the_hub_does_not_have_is_guessed_from_the_alias_and_the_cache(cached):
    words = "x is not a local folder and is not a valid model identifier listed on 'https://hub'"
    found = hub("HuggingFaceTB/SmolLM2-135M-Instrct", OSError(words), RepositoryNotFoundError())
    assert "the hub has no such model, or it is private" in found
    assert found.endswith("Did you mean 'smollm2-135m'?")
    assert "listed on" not in found
    found = hub("Qwen/Qwen2.5-0.5B-Instrukt", OSError(words))
    assert found.endswith("Did you mean 'Qwen/Qwen2.5-0.5B-Instruct'?")
    assert hub("a/zzzz", OSError(words)).endswith("if it is private, log in: hf auth login.")


def test_a_hub_that_cannot_be_reached_is_told_from_a_wrong_name(cached):
    words = "We couldn't connect to 'https://hub' to load the files, and couldn't find them in the"
    for error in (OSError(words), LocalEntryNotFoundError("outgoing traffic has been disabled")):
        found = hub("a/zzzz", error)
        assert "the hub cannot be reached, and its cache here does not have the model" in found
        assert "hf download a/zzzz --local-dir FOLDER" in found


def test_a_restricted_model_says_how_to_get_it():
    found = hub("meta-llama/Llama-3.1-8B", OSError("You are trying to access a gated repo.\nMake"))
    assert "the hub restricts access to it" in found
    assert "hf auth login" in found


def test_a_folder_is_never_answered_with_words_about_the_hub(tmp_path):
    found = hub(str(tmp_path), OSError(f"{tmp_path} does not appear to have a file named x.json."))
    assert "it has no x.json" in found
    assert "hub" not in found
