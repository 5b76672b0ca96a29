"""Are files that nest too deeply, or are too large, refused where they are read?"""

from __future__ import annotations

import json

import pytest

from accuracy.datasets.files import load_dataset
from harness.kernel.errors import BadInput, HarnessError
from harness.kernel.foreign.parsed import MOST_DEPTH, loads
from harness.options.settings import load_config
from sut.checkpoint import stored


def nested(depth):
    return "[" * depth + "]" * depth


def test_what_is_nested_as_deeply_as_allowed_is_taken():
    assert json.dumps(loads(nested(MOST_DEPTH)), separators=(",", ":")) == nested(MOST_DEPTH)


@pytest.mark.parametrize("text", [nested(MOST_DEPTH + 1), nested(900), nested(100_000)])
def test_what_is_nested_deeper_is_a_value_error(text):
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        loads(text)
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        loads(text.replace("[", '{"a":[').replace("]", "]}"))


TOML = {
    "brackets": "seeds = " + "[" * 5000,
    "deep lists": "seeds = " + "[" * 200 + "]" * 200,
    "dotted key": ".".join("a" * 300) + " = 1",
    "large": "#" * (2 << 20),
}


@pytest.mark.parametrize("name", TOML)
def test_settings_in_toml_have_limits_of_depth_and_size(tmp_path, name):
    file = tmp_path / "s.toml"
    file.write_text(TOML[name])
    with pytest.raises(BadInput, match=r"nested more than 100 deep|it is too large"):
        load_config({"scenario": "offline"}, file)


def test_a_conf_file_has_a_limit_of_size(tmp_path):
    file = tmp_path / "user.conf"
    file.write_text("# comment\n" * 200_000)
    with pytest.raises(BadInput, match="it is too large"):
        load_config({"scenario": "offline", "user_conf": [file]})


def test_an_endless_file_of_settings_is_no_endless_wait():
    from pathlib import Path

    with pytest.raises(BadInput, match="it is too large"):
        load_config({"scenario": "offline"}, Path("/dev/zero"))


@pytest.mark.parametrize("depth", [300, 100_000])
@pytest.mark.parametrize(("ending", "head", "tail"), [("jsonl", "", "\n"), ("json", "[", "]")])
def test_rows_of_a_dataset_have_a_limit_of_depth(tmp_path, depth, ending, head, tail):
    file = tmp_path / f"d.{ending}"
    file.write_text(f'{head}{{"prompt": "a", "x": {nested(depth)}}}{tail}')
    with pytest.raises(BadInput, match="line 1"):
        load_dataset(str(file), 4)


def test_a_dataset_larger_than_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    file = tmp_path / "d.jsonl"
    with file.open("wb") as opened:
        opened.truncate(1 << 40)  # a hole of 1 TiB
    monkeypatch.setattr("accuracy.datasets.readers.available_bytes", lambda: 1 << 22)
    with pytest.raises(BadInput, match="it is too large; expected at most 1 MiB"):
        load_dataset(str(file), 4)


@pytest.mark.parametrize(
    "header", [b"\xff" * 7 + b"\x7f", (200).to_bytes(8, "little") + b"[" * 200]
)
def test_the_header_of_weights_has_limits(tmp_path, header):
    (tmp_path / "model.safetensors").write_bytes(header)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises((HarnessError, ValueError)):
        stored._in_safetensors(tmp_path / "model.safetensors")
