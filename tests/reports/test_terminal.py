"""What the first screen says of memory and of what is missing."""

import pytest

from reports.tables import brief, step_text
from reports.terminal import missing_text

MIB = 2**20


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        ({}, ""),
        ({"weights_bytes": 512 * MIB}, "weights 512 MiB"),
        ({"rss_peak_bytes": 2013 * MIB}, "process peak 1.966 GiB"),
        (
            {
                "rss_peak_bytes": 2013 * MIB,
                "loading_peak_bytes": 2013 * MIB,
                "serving_peak_bytes": 1400 * MIB,
                "evaluation_peak_bytes": 4715 * MIB,
            },
            "process peak 1.966 GiB, 1.966 GiB while loading, 1.367 GiB while serving,"
            " 4.604 GiB while evaluating",
        ),
        (
            {
                "weights_bytes": 512 * MIB,
                "rss_peak_bytes": 900 * MIB,
                "gpu_peak_bytes": 700 * MIB,
                "loading_peak_bytes": 600 * MIB,
                "serving_peak_bytes": 700 * MIB,
            },
            "weights 512 MiB, process peak 900 MiB, GPU peak 700 MiB, 600 MiB while loading,"
            " 700 MiB while serving",
        ),
    ],
)
def test_each_peak_says_what_it_covers(memory, words):
    nothing = {"result": {"value": None}, "accuracy": {}, "memory": memory}
    assert dict(brief(nothing)).get("memory", "") == words


def test_a_missing_piece_is_named_with_its_reason():
    row = {"kind": "score", "name": "bleu", "reason": "ImportError: no sacrebleu", "later": True}
    assert missing_text(row) == "score bleu (ImportError: no sacrebleu)"
    assert missing_text(row | {"kind": "page", "name": "report.html"}).startswith("report.html (")


def test_a_step_of_a_search_says_what_did_not_hold():
    assert step_text({"limits_kept": True, "why": []}) == "yes"
    assert step_text({"limits_kept": True, "why": ["not_delivered"]}) == "no: not delivered"
    assert step_text({"limits_kept": False}) == "no: limits"  # of an older search
