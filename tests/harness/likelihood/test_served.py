"""`harness perplexity` of models behind an address, judged against the same models loaded here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from harness.likelihood import settings as asking
from tests.harness.likelihood.test_study import invoke, subject
from tests.likelihood_server import KEY, answering

WINDOWS = ("--window", "12", "--stride", "4")
CONDITIONS = ("--conditions", "instructions,sentences")


@pytest.fixture(scope="module")
def other(tiny_llama, tmp_path_factory):
    """The tiny model with weights a little off, as a quantised variant has them."""
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("other") / "other"
    shutil.copytree(tiny_llama, folder)
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.15 * weight.std() * torch.randn_like(weight))
    model.save_pretrained(folder)
    return folder


def measured(folder, *models, more=(), code=0):
    """The subjects of a measurement: those loaded here, then the served ones."""
    names = ",".join(map(str, models))
    got, found, said = invoke(folder, "--models", names, *more)
    assert got == code, said
    return found["subjects"], found


def losses(found, place):
    return pq.read_table(Path(found["folder"]) / place["folder"] / "tokens.parquet").to_pandas()


@pytest.mark.parametrize(
    ("way", "more"), [("prompt_logprobs", WINDOWS), ("ids", CONDITIONS), ("texts", ())]
)
def test_a_served_model_has_the_figures_of_the_same_model_loaded_here(
    tmp_path, tiny_llama, way, more
):
    with answering(tiny_llama, way=way) as server:
        code = int(way == "texts")  # no divergence
        (here, there), found = measured(tmp_path, tiny_llama, server.url, more=more, code=code)
    assert there["status"] == "DONE"
    assert there["variant"] == "served"
    assert there["way"] == ("prompt_logprobs" if way == "prompt_logprobs" else "echo")
    ours, theirs = losses(found, here), losses(found, there)
    for name in ("text", "condition", "position", "token_id", "start", "end", "begins_at"):
        assert ours[name].tolist() == theirs[name].tolist()
    np.testing.assert_allclose(theirs["nll_nats"], ours["nll_nats"], rtol=1e-4)
    assert ours["correct"].tolist() == theirs["correct"].tolist()
    for name in ("perplexity", "bits_per_byte", "token_accuracy"):
        assert there["figures"][name] == pytest.approx(here["figures"][name], rel=1e-5)
    if way == "texts":
        assert "which several may have" in there["divergence"]["refused"]
    else:
        assert there["divergence"]["mean_kld"]["value"] == pytest.approx(0, abs=1e-6)
        assert there["divergence"]["same_top_p"]["value"] == 1.0


def test_the_divergence_is_bounded_below_and_exact_where_every_token_is_told(
    tmp_path, tiny_llama, other
):
    more = ("--reference", str(tiny_llama))
    (_, here), _ = measured(tmp_path / "here", tiny_llama, other, more=more)
    exact = here["divergence"]["mean_kld"]["value"]
    seen = {}
    for most in (64, 20, 5):
        with answering(other, most=most) as server:
            more = ("--top-k", most)
            (_, there), _ = measured(tmp_path / str(most), tiny_llama, server.url, more=more)
        seen[most] = there["divergence"]
        assert there["named"] == most
        assert there["divergence"]["same_top_p"] == here["divergence"]["same_top_p"]
    assert seen[64]["mean_kld"]["value"] == pytest.approx(exact, rel=1e-3)
    assert seen[64]["mean_kld_at_most"]["value"] == pytest.approx(exact, rel=1e-3)
    lows = [seen[most]["mean_kld_at_least"]["value"] for most in (5, 20, 64)]
    assert lows == sorted(lows)
    assert lows[1] < exact
    assert seen[20]["mean_kld_at_most"]["value"] is None
    assert seen[20]["mean_kld_error"]["value"] is None
    assert lows[1] < seen[20]["mean_kld"]["value"]
    assert 0 < seen[20]["rest_share"] < seen[5]["rest_share"] < 1
    assert "the 20 likeliest tokens of each position" in seen[20]["note"]


def test_as_many_tokens_are_asked_for_as_the_server_names(tmp_path, tiny_llama):
    with answering(tiny_llama, way="ids", most=5) as server:
        (_, there), found = measured(tmp_path, tiny_llama, server.url)
    assert there["named"] == 5
    assert found["status"] == "DONE"


def test_one_of_several_models_is_named_after_the_address(tmp_path, tiny_llama):
    with answering(tiny_llama, names=("big/tiny", "lora")) as server:
        code, _, said = invoke(tmp_path, "--models", f"{tiny_llama},{server.url}")
        assert code == 3
        assert "several models; it has big/tiny, lora" in said
        assert "#" in said
        code, _, said = invoke(tmp_path, "--models", f"{tiny_llama},{server.url}#large")
        assert code == 3
        assert "no model 'large'" in said
        assert "it has big/tiny, lora" in said
        assert not (tmp_path / "out").exists()
        rows, found = measured(tmp_path, tiny_llama, f"{server.url}#big/tiny")
        assert {body["model"] for body in server.bodies} == {"big/tiny"}
    host = server.url.split("/")[2]
    assert rows[1]["label"] == f"tiny at {host} served"
    assert subject(found, f"tiny at {host} served")["served"] == "big/tiny"


def test_a_server_that_tells_only_what_it_writes_is_refused(tmp_path, tiny_llama):
    with answering(tiny_llama, way="none") as server:
        code, found, said = invoke(tmp_path, "--models", server.url, "--tokenizer", str(tiny_llama))
    assert code == 3
    assert found["subjects"][0]["status"] == "ERROR"
    assert "vLLM" in said
    assert "it leaves prompt_logprobs out" in found["subjects"][0]["problem"]
    assert "with echo it tells 1 log-probabilities for" in found["subjects"][0]["problem"]


def test_no_server_a_missing_key_and_no_tokenizer_are_said_before_anything_is_scored(
    tmp_path, tiny_llama, monkeypatch
):
    code, _, said = invoke(tmp_path, "--models", f"{tiny_llama},http://127.0.0.1:9/v1")
    assert code == 3
    assert "refused" in said
    code, _, said = invoke(tmp_path, "--models", "http://127.0.0.1:9/v1")
    assert code == 2
    assert "Pass --tokenizer" in said
    with answering(tiny_llama, key=KEY) as server:
        monkeypatch.delenv("TOUCHSTONE_API_KEY", raising=False)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        code, _, said = invoke(tmp_path, "--models", f"{tiny_llama},{server.url}")
    assert code == 3
    assert "401" in said
    assert "TOUCHSTONE_API_KEY" in said
    assert not (tmp_path / "out").exists()


def test_the_key_is_in_no_file(tmp_path, tiny_llama, monkeypatch):
    monkeypatch.setenv("TOUCHSTONE_API_KEY", KEY)
    with answering(tiny_llama, key=KEY) as server:
        measured(tmp_path, tiny_llama, server.url)
    written = [file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert written
    assert not any(KEY.encode() in data for data in written)


def test_a_key_that_a_server_tells_back_is_hidden(tmp_path, tiny_llama, monkeypatch):
    monkeypatch.setenv("MY_DOOR", "open sesame")  # neither named nor shaped like a secret
    wrong = {"answers_before_it_breaks": 1, "last_words": "no more for open sesame"}
    with answering(tiny_llama, key="open sesame", **wrong) as server:
        words = (f"{tiny_llama},{server.url}", "--api-key-env", "MY_DOOR")
        code, found, said = invoke(tmp_path, "--models", *words)
    assert code == 1
    assert "no more for (hidden)" in found["subjects"][1]["problem"]
    assert "sesame" not in said
    written = [file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert not any(b"sesame" in data for data in written)


def test_a_busy_server_is_asked_again(tmp_path, tiny_llama):
    with answering(tiny_llama, busy=2) as server:
        (here, there), _ = measured(tmp_path, tiny_llama, server.url)
    assert there["figures"]["perplexity"] == pytest.approx(here["figures"]["perplexity"], rel=1e-5)


def test_what_was_scored_is_kept_when_the_server_breaks_and_is_resumed(tmp_path, tiny_llama):
    with answering(tiny_llama, answers_before_it_breaks=5) as server:
        (_, there), found = measured(tmp_path, tiny_llama, server.url, code=1)
        assert there["status"] == "ERROR"
        assert "out of memory" in there["problem"]
        scored = len(there["by_text"])
        assert scored == 3  # two of the answers found out how to ask
        server.answers_before_it_breaks, server.bodies = 1 << 30, []
        settings = asking.Settings(**json.loads(
            (Path(found["folder"]) / "settings.json").read_text())["config"])  # fmt: skip
        from harness.likelihood import study

        again = study.run(Path(found["folder"]), settings, print, fresh=False)
        assert len(server.bodies) == 2 + 3  # the texts that were left
    assert again["status"] == "DONE"
    assert len(again["subjects"][1]["by_text"]) == 6


def test_logits_and_the_ids_of_another_tokenizer_are_no_figures(tmp_path, tiny_llama):
    with answering(tiny_llama, scale=0.1) as server:
        (_, there), _ = measured(tmp_path / "a", tiny_llama, server.url, code=1)
    assert "sum to" in there["problem"]
    assert "figures" in there
    assert not there["figures"]
    with answering(tiny_llama) as server:
        server.tokenizer.decode = lambda ids: "q"
        (_, there), _ = measured(tmp_path / "b", tiny_llama, server.url, code=1)
    assert "the server reads 'qqq" in there["problem"]
    assert "--tokenizer" in there["problem"]


def test_a_context_too_small_and_windows_that_differ_are_said(tmp_path, tiny_llama):
    with answering(tiny_llama, max_model_len=14) as server:
        (_, there), _ = measured(tmp_path / "a", tiny_llama, server.url, code=1)
        assert "the context takes 12" in there["problem"]
        more = ("--stride", "4")
        (_, there), _ = measured(tmp_path / "b", tiny_llama, server.url, more=more, code=1)
        assert there["status"] == "DONE"
        assert "pass --window 12" in there["divergence"]["refused"]
        more = ("--stride", "4", "--window", "12")
        (_, there), _ = measured(tmp_path / "c", tiny_llama, server.url, more=more)
    assert there["divergence"]["mean_kld"]["value"] == pytest.approx(0, abs=1e-6)


def test_a_server_is_no_reference_and_whoever_resumes_a_folder_consents_to_it(tiny_llama):
    url = "http://127.0.0.1:9/v1"
    with pytest.raises(Exception, match="it is a server"):
        asking.settings({"models": f"{tiny_llama},{url}", "reference": url})
    with pytest.raises(Exception, match="--exact"):
        asking.settings({"models": f"{tiny_llama},{url}", "variants": "fp32,bf16", "exact": True})
    made = asking.settings({"models": f"{tiny_llama},{url}"})
    wishes = [wish.what for wish in asking.wishes(made)]
    assert any(url in what and "API key" in what for what in wishes)
