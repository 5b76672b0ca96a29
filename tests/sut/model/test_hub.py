"""A hub id on a machine without network: one short question, one sentence, or the cache's copy."""

from __future__ import annotations

import os

import pytest

from harness.kernel.errors import SetupFailed
from sut.model import find as models
from sut.model import hub

huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.fixture
def asked(monkeypatch):
    """Questions to the hub, which cannot be reached; nothing is in its cache."""
    questions = []

    def unreachable(url, timeout):
        assert timeout <= 5
        questions.append(url)
        raise OSError("Name or service not known")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", unreachable)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda name, file: None)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "_unreachable", [])
    monkeypatch.setattr(models, "_failed", {})
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    return questions


def resolve(name):
    return models.resolve(name, lambda text: None)


def test_it_is_asked_once_whatever_is_looked_for(asked):
    for name in ("one/model", "one/model", "another/model"):
        with pytest.raises(SetupFailed, match=rf"{name}.*cannot be reached.*hf download {name}"):
            resolve(name)
    assert len(asked) == 1


def test_a_copy_in_its_cache_is_used_and_nobody_asks_again(asked, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda name, file: "/a/file")
    assert resolve("one/model").notes == (
        "the hub could not be reached: the copy in its cache was used",
    )
    assert os.environ["HF_HUB_OFFLINE"] == "1"  # what the model's own process reads
    assert resolve("one/model").path == "one/model"
    assert len(asked) == 1


def test_offline_by_the_users_word_asks_nobody(asked, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        SetupFailed, match="HF_HUB_OFFLINE is set, and its cache here does not have the model"
    ):
        resolve("one/model")
    assert not asked


def answering(monkeypatch, kind, status):
    import types

    error = kind.__new__(kind)
    Exception.__init__(error, f"{status} says the hub")
    error.response = types.SimpleNamespace(status_code=status)

    def answer(url, timeout):
        raise error

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", answer)


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        (
            "RepositoryNotFoundError",
            404,
            "has no such model, or it is private.* Check the spelling",
        ),
        ("GatedRepoError", 403, "restricts access to it"),
        ("HfHubHTTPError", 403, "refuses the question .403 says the hub"),
        ("HfHubHTTPError", 503, "cannot be reached"),
    ],
)
def test_what_the_hub_answers_is_told(asked, monkeypatch, kind, status, words):
    answering(monkeypatch, getattr(huggingface_hub.errors, kind), status)
    with pytest.raises(SetupFailed, match=words):
        resolve("one/model")
