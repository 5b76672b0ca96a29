"""Is an address that no server can have refused in a sentence, and a key that none can read?"""

from __future__ import annotations

import pytest

from harness.kernel.errors import BadInput
from sut.served.address import address


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
def test_a_host_that_no_look_up_takes_is_bad_input(host):
    with pytest.raises(BadInput, match="no name of a host"):
        address(f"http://{host}:8000/v1")


@pytest.mark.parametrize("host", ["localhost", "[::1]", "10.0.0.1", "bücher.example", "a_b."])
def test_any_other_host_is_left_to_the_look_up(host):
    assert address(f"http://{host}:8000").url == f"http://{host}:8000/v1"


@pytest.mark.parametrize("key", ["se-cret\n", "se-cret\r", "se-crét", "se\x00cret"])
def test_a_key_that_no_header_holds_is_bad_input_and_not_shown(monkeypatch, key):
    monkeypatch.setattr("os.environ", {"OPENAI_API_KEY": key})
    with pytest.raises(BadInput, match="OPENAI_API_KEY") as refused:
        address("http://localhost:8000")
    assert key not in str(refused.value)
