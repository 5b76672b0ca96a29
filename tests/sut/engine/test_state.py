"""The state's name, old or new, and what happens to a model whose state gets lost on the way."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from harness.cli import app
from sut.engine import agreement, state
from sut.engine.static import StaticRunner
from sut.engine.trial import short_trial
from tests.conftest import _save as save
from tests.sut.engine.test_slots import alone, served, tiny, way


class Renamed(torch.nn.Module):
    """A model whose state has the name `given` on the way in and `returned` on the way out."""

    def __init__(self, model, given, returned):
        super().__init__()
        self.model, self.config, self.device, self.dtype = (
            model,
            model.config,
            model.device,
            model.dtype,
        )
        self.name_or_path = "renamed"
        parameters = "input_ids, attention_mask=None, position_ids=None, use_cache=None, "
        parameters += "logits_to_keep=0"
        names = {"call": self._call, "returned": returned}
        source = f"def forward({parameters}, {given}=None):\n    return call(locals())"
        exec(source, names)  # a signature made of a string
        self._given, self._returned, self.forward = given, returned, names["forward"]

    def _call(self, arguments):
        arguments[state.argument(self.model)] = arguments.pop(self._given)
        outputs = self.model(**arguments)
        back = {self._returned: state.returned(outputs)} if arguments["use_cache"] else {}
        return SimpleNamespace(logits=outputs.logits, **back)


def both(name):
    return name, name


NAMES = [*map(both, state.NAMES), ("past_key_values", "cache"), ("cache", "past_key_values")]


@pytest.mark.parametrize(("given", "returned"), NAMES)
def test_the_state_is_found_by_every_name_it_ever_had(given, returned):
    model = Renamed(tiny("jamba"), given, returned)
    chosen = way(model)
    assert chosen.batching == "static"
    assert served(chosen.engine, chosen.runner(3, 64)) == alone(model.model)


def test_a_state_of_an_unknown_name_is_not_lost_but_done_without():
    for names in (("memory", "memory"), ("cache", "memory")):
        model = Renamed(tiny("jamba"), *names)
        chosen = way(model)
        assert chosen.batching == "whole passes"
        assert "none of cache, past_key_values" in chosen.note
        assert served(chosen.engine, chosen.runner(3, 64)) == alone(model.model)


def test_a_lost_state_is_told_with_the_step_and_the_distance(monkeypatch):
    model = tiny("llama")
    wanted = agreement.expected(model, short_trial(model))
    runner = StaticRunner(model, 3, wanted.trial.longest, pad_id=0)
    assert agreement.difference(runner, wanted) is None
    monkeypatch.setattr(StaticRunner, "_given", lambda self: {})
    found = agreement.difference(runner, wanted)
    assert found.step == 1
    assert found.distance > 100 * found.allowed


def test_out_of_memory_is_no_difference():
    class Full:
        max_rows, in_pieces, packs = 3, True, False

        def prefill_logits(self, *_):
            raise RuntimeError("CUDA out of memory")

    model = tiny("llama")
    wanted = agreement.expected(model, short_trial(model))
    with pytest.raises(RuntimeError, match="out of memory"):
        agreement.difference(Full(), wanted)


def test_logits_that_are_no_numbers_agree_with_nothing():
    theirs = torch.tensor([[1.0, 2.0, 4.0, -torch.inf]])
    ours = torch.tensor([[1.0, torch.nan, 4.0, -torch.inf]])
    assert agreement.distances(theirs, theirs).item() == pytest.approx(0, abs=1e-12)
    assert agreement.distances(ours, theirs).item() == torch.inf


FORGETFUL = """
from transformers import LlamaForCausalLM

class ForgetfulForCausalLM(LlamaForCausalLM):
    def forward(self, input_ids, attention_mask=None, use_cache=None, cache=None, **_):
        outputs = super().forward(input_ids=input_ids, use_cache=use_cache)
        outputs["cache"] = outputs.get("cache", outputs.get("past_key_values"))
        return outputs
"""


def harness(*words):
    """Run a command in this process, the model's part of it too."""
    return CliRunner().invoke(app, [*map(str, words), "--in-process"])


def test_a_model_that_forgets_its_state_is_served_by_whole_passes_and_says_so(tiny_llama, tmp_path):
    folder = tmp_path / "forgetful"
    folder.mkdir()
    for file in tiny_llama.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "modeling_forgetful.py").write_text(FORGETFUL)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "modeling_forgetful.ForgetfulForCausalLM"}
    (folder / "config.json").write_text(json.dumps(config))
    flags = "--scenario offline --max-new-tokens 4 --truncate --trust-remote-code"
    done = harness("run", *flags.split(), "--model", folder, "--output-dir", tmp_path / "runs")
    assert done.exit_code == 0, done.output
    (result,) = (tmp_path / "runs").glob("*/result.json")
    facts = json.loads(result.read_text())["sut_facts"]
    assert facts["batching"] == "whole passes"
    assert "a pass over the whole text for each token" in " ".join(facts["notes"])


def test_no_perplexity_is_told_of_a_model_that_knows_what_comes_next(tmp_path):
    from transformers import BertConfig, BertLMHeadModel

    config = BertConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64, eos_token_id=2,
    )  # fmt: skip
    folder = save(BertLMHeadModel, config, tmp_path / "bert")
    flags = "--dataset stories --num-samples 5 --stride 32"
    done = harness("perplexity", *flags.split(), "--model", folder, "--output-dir", tmp_path)
    assert done.exit_code == 3
    words = " ".join(done.stdout.split()).replace("│ ", "")
    assert "change with the tokens that follow it" in words
