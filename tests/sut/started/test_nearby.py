"""Which servers does the doctor find on this machine?"""

from __future__ import annotations

import pytest

from harness import doctor
from sut.started import nearby


@pytest.fixture
def found(golden, monkeypatch):
    """found(**settings of the golden server) -> what the doctor says of it."""
    monkeypatch.setattr(nearby, "PORTS", (1, golden.port))  # nobody listens at the first

    def call(**settings):
        golden.set(**settings)
        return {url.rpartition(":")[2]: said for url, said in doctor.servers().items()}

    yield call
    golden.set()


def test_a_server_is_named_with_its_models(found, golden):
    assert found(model="tiny") == {f"{golden.port}/v1": "vLLM golden: tiny"}


def test_one_that_wants_a_key_is_found_and_told_none(found, golden, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "the-key-itself")
    (said,) = found(key="the-key-itself").values()
    assert said.startswith("wants a key")


def test_without_any_the_ports_are_told(monkeypatch):
    monkeypatch.setattr(nearby, "PORTS", (1,))
    assert doctor.servers() == {"on this machine": "none at the ports 1"}
