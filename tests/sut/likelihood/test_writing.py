"""Files of finished texts are written while the next are scored, and told of in order."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest

from sut.likelihood.local import Local
from sut.likelihood.writing import Writer
from tests.sut.likelihood.test_worker import row, run


def test_without_threads_a_file_is_there_at_once():
    written = []
    with Writer(0) as writer:
        writer.soon(written.append, 1)
        writer.soon(written.append, 2, event={"n": 2})
        assert written == [1, 2]
        assert list(writer.told()) == [{"n": 2}]


def test_nothing_is_told_before_all_that_was_asked_for_earlier_is_there():
    may_end, second = Event(), Event()
    with Writer(2) as writer:
        writer.soon(may_end.wait, 60)
        writer.soon(second.set, event={"n": 2})
        assert second.wait(60)
        assert list(writer.told()) == []
        may_end.set()
        assert list(writer.told(rest=True)) == [{"n": 2}]


def test_what_a_write_raises_is_raised_where_it_is_told_and_the_rest_is_written():
    written = []

    def fails():
        raise OSError("disk full")

    with Writer(1) as writer:
        writer.soon(written.append, 1, event={"n": 1})
        writer.soon(fails, event={"n": 2})
        writer.soon(written.append, 3)
        telling = writer.told(rest=True)
        assert next(telling) == {"n": 1}
        with pytest.raises(OSError, match="disk full"):
            next(telling)
    assert written == [1, 3]


def test_too_many_files_are_waited_for():
    may_end, most = Event(), 4
    with Writer(1) as writer:
        for n in range(most):
            writer.soon(may_end.wait, 60, event={"n": n})
        assert list(writer.told()) == []
        writer.soon(may_end.set)
        may_end.set()
        assert next(writer.told()) == {"n": 0}


@pytest.mark.parametrize("writers", [0, 4])
def test_threads_leave_the_same_parts_and_the_same_events(
    tiny_llama, tmp_path, monkeypatch, writers
):
    rows = [row(f"{i}", "the sky is blue " * (1 + i % 3)) for i in range(6)]
    monkeypatch.setattr(Local, "writers", writers)
    events, parts = run(tmp_path / "one", tiny_llama, *rows, record=True)
    assert events["scored"]["tokens"] == events["checked"]["tokens"]
    assert events["done"]["batch_tokens"] == 2048
    assert sorted(parts) == [f"{i:06d}-plain" for i in range(6)]
    kept = sorted(file.stem for file in (tmp_path / "one" / "distributions").iterdir())
    assert kept == sorted(parts)
    with np.load(tmp_path / "one" / "distributions" / f"{kept[0]}.npz") as found:
        np.testing.assert_array_equal(found["nll_nats"], parts[kept[0]]["nll_nats"])
