"""Are a server's own counters of its prefix cache read, and nothing that is none?"""

from __future__ import annotations

import pytest

from harness.kernel.answers import Exchange
from sut.served import counters
from sut.served.address import address

PAGE = """# TYPE vllm:prefix_cache_queries counter
vllm:prefix_cache_queries_total{engine="0"} 100.0
vllm:prefix_cache_queries_total{engine="1"} 20.0
vllm:prefix_cache_hits_total{engine="0"} 7
"""


@pytest.fixture
def says(monkeypatch):
    """says(page, status) -> what is read of a server that has this under /metrics."""

    def call(page, status=200):
        found = Exchange(-1, 0, status, {}, [(1, page.encode())], "whole", 2)
        monkeypatch.setattr(counters, "exchange", lambda *_, **__: found)
        return counters.read(address("http://localhost:1"))

    return call


def test_the_counters_of_all_engines_are_added_up(says):
    assert says(PAGE) == {"queries": 120.0, "hits": 7.0}
    assert says(PAGE, status=404) == {}


@pytest.mark.parametrize("hits", ["NaN", "+Inf", "many"])
def test_what_is_no_number_is_no_count(says, hits):
    assert says(PAGE.replace("} 7", "} " + hits)) == {}
    assert says(PAGE.replace("hits", "misses")) == {}


def test_a_server_that_began_anew_has_counted_nothing(says):
    counted = says(PAGE)
    assert counters.between({"queries": 100.0, "hits": 2.0}, counted) == {"queries": 20, "hits": 5}
    assert counters.between({"queries": 999.0, "hits": 2.0}, counted) == {}
    assert counters.between({}, counted) == {}
