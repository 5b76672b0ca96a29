"""Does `harness.judge` give a program what `harness judge` prints?"""

from __future__ import annotations

import pytest

import harness
from tests.judge_server import judging


def knows(prompt, number):
    """Prefer what comes first, and give full points."""
    return "verdict: A" if "ANSWER B" in prompt else "score: 10"


def test_a_program_has_the_same_of_it(runs, judged, tmp_path):
    with judging(knows) as judge, judging(lambda prompt, number: "score: 7") as other:
        _, theirs, _, _ = judged(judge.url, f"--judge {other.url} --by both --judge-price 1,2")
        study = harness.judge(
            *runs, judge=[judge.url, other.url], by="both", judge_price="1,2",
            output_dir=tmp_path / "ours",
        )  # fmt: skip
    assert dict(study) | {"folder": theirs["folder"]} == theirs
    assert study.exit_code == 1  # the other one judges no pair
    read = harness.load(study.folder)
    assert isinstance(read, harness.Study)
    assert (read.kind, read.exit_code, read.csv()) == ("judge", 1, study.csv())
    rows = read.rows.set_index(["judge", "kind", "label"])
    assert len(rows) == 6
    (pair,) = study["judges"][0]["pairs"]
    mine = rows.loc[judge.url, "pairs", pair["run"]]
    assert (mine["win_rate"], mine["win_rate_high"]) == (
        pair["win_rate"]["value"], pair["win_rate"]["high"],
    )  # fmt: skip
    assert rows.loc[other.url, "scores", pair["run"]]["points"] == 7
    assert list(read.runs) == [run["label"] for run in study["runs"]]
    assert read.runs[pair["run"]].status == "VALID"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"judge": ()}, "no judge is named"),
        ({"judge": "http://h#m", "by": "pair"}, r"Did you mean 'pairs'"),
        ({"judge": "http://h#m", "judge_limit": 0}, "--judge-limit 0: it is out of range"),
        ({"judge": "http://h#m", "judge_concurrency": 257}, "up to 256"),
        ({"judge": "http://h#m", "judge_timeout": 0}, "0.1 or more"),
        ({"judge": "http://h#m", "judge_tokens": 0}, "1 or more"),
        ({"judge": "http://h#m", "judge_price": ["1,2", "3"]}, "2 prices for 1 judges"),
    ],
)
def test_a_program_is_told_the_same_of_bad_input(runs, tmp_path, settings, said):
    with pytest.raises(harness.BadInput, match=said):
        harness.judge(*runs, output_dir=tmp_path / "none", **settings)
    with pytest.raises(harness.BadInput, match="no run is given"):
        harness.judge(judge="http://h#m", output_dir=tmp_path / "none")
    assert not (tmp_path / "none").exists()
