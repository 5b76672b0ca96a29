"""Is a file of ours whole or not there, on the disk when we say so, and never somewhere else?"""

from __future__ import annotations

import errno
import json
import os
import stat
from contextlib import suppress

import pytest

from harness.kernel import files

WRITERS = {
    "write_text": lambda path: files.write_text(path, "new"),
    "write_bytes": lambda path: files.write_bytes(path, b"new"),
    "write_json": lambda path: files.write_json(path, {"new": 1}),
    "copy": lambda path: files.copy(_made(path.with_name("source")), path),
}


def _made(path, text="new"):
    path.write_text(text)
    return path


def _calls(monkeypatch):
    """Record the calls that matter for a power cut, in order, and let them happen."""
    calls = []
    flush, rename = os.fsync, os.replace

    def fsync(number):
        kind = "folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file"
        calls.append(f"flush {kind} of {os.fstat(number).st_size if kind == 'file' else 'names'}")
        flush(number)

    def replace(old, new):
        calls.append("rename")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    return calls


def _full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_before_we_go_on(
    name, tmp_path, monkeypatch
):
    calls = _calls(monkeypatch)
    WRITERS[name](tmp_path / "kept")
    size = (tmp_path / "kept").stat().st_size
    assert calls == [f"flush file of {size}", "rename", "flush folder of names"]
    assert size > 0


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_on_a_full_disk_the_old_file_stays_and_nothing_is_left(name, call, tmp_path, monkeypatch):
    _made(tmp_path / "kept", "old"), _made(tmp_path / "source")
    monkeypatch.setattr(os, call, _full)
    with pytest.raises(OSError, match="No space left"):
        WRITERS[name](tmp_path / "kept")
    assert (tmp_path / "kept").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "source"]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", ["symbolic", "dangling", "hard"])
def test_a_link_at_the_place_is_replaced_and_its_target_stays_as_it_was(name, kind, tmp_path):
    victim, place = tmp_path / "victim", tmp_path / "folder" / "kept"
    place.parent.mkdir()
    if kind != "dangling":
        victim.write_text("precious")
    place.hardlink_to(victim) if kind == "hard" else place.symlink_to(victim)
    WRITERS[name](place)
    assert not place.is_symlink()
    assert place.stat().st_nlink == 1
    assert "new" in place.read_text()
    if kind == "dangling":
        assert not victim.exists()
    else:
        assert victim.read_text() == "precious"


def test_a_named_pipe_at_the_place_is_replaced_and_nobody_waits_for_its_reader(tmp_path):
    os.mkfifo(tmp_path / "kept")
    files.write_text(tmp_path / "kept", "new")
    assert (tmp_path / "kept").read_text() == "new"


def test_the_scratch_name_is_new_every_time_and_must_not_be_there(tmp_path, monkeypatch):
    names = []
    opened = os.open

    def note(path, flags, *mode):
        if flags & os.O_CREAT:
            names.append(str(path))
            assert flags & os.O_EXCL
            assert flags & os.O_NOFOLLOW
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", note)
    for _ in range(20):
        files.write_text(tmp_path / "kept", "new")
    assert len(set(names)) == 20


def test_a_block_that_breaks_leaves_the_old_file(tmp_path):
    _made(tmp_path / "kept", "old")
    with suppress(KeyboardInterrupt), files.replacing(tmp_path / "kept") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "old"


def test_a_file_has_the_rights_that_the_user_gives_to_new_files(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "kept", "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o640


def test_a_folder_that_cannot_be_flushed_does_not_cost_the_file(tmp_path, monkeypatch):
    def unable(_):
        raise OSError(errno.EINVAL, "Invalid argument")  # as network file systems answer

    monkeypatch.setattr(os, "fsync", unable)
    files.write_text(tmp_path / "kept", "new")
    assert (tmp_path / "kept").read_text() == "new"


def test_half_a_character_in_a_name_comes_back_from_json_as_it_was(tmp_path):
    name = os.fsdecode(b"model-\xff")
    files.write_json(tmp_path / "kept.json", {"path": name, "word": "größe"})
    text = (tmp_path / "kept.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"path": name, "word": "größe"}
    assert "größe" in text


# ---- new files, added lines


def test_a_new_file_never_takes_the_place_of_another(tmp_path):
    _made(tmp_path / "there", "old")
    (tmp_path / "dangling").symlink_to(tmp_path / "victim")
    for name in ("there", "dangling"):
        with pytest.raises(FileExistsError):
            files.write_new(tmp_path / name, "new")
    assert (tmp_path / "there").read_text() == "old"
    assert not (tmp_path / "victim").exists()
    files.write_new(tmp_path / "free", "new")
    assert (tmp_path / "free").read_text() == "new"


def test_a_new_file_on_a_full_disk_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(OSError, match="No space left"):
        files.write_new(tmp_path / "free", "new")
    assert not list(tmp_path.iterdir())


def test_a_line_is_added_and_on_the_disk(tmp_path, monkeypatch):
    calls = _calls(monkeypatch)
    files.append(tmp_path / "rows", "one\n")
    files.append(tmp_path / "rows", "two\n")
    assert (tmp_path / "rows").read_text() == "one\ntwo\n"
    assert calls == ["flush file of 4", "flush folder of names", "flush file of 8",
                     "flush folder of names"]  # fmt: skip


def test_of_a_line_that_does_not_fit_nothing_stays(tmp_path, monkeypatch):
    files.append(tmp_path / "rows", "one\n")
    write = os.write
    taken = []

    def nearly_full(number, data):
        if taken:
            _full()
        taken.append(write(number, data[:3]))
        return taken[0]

    monkeypatch.setattr(os, "write", nearly_full)
    with pytest.raises(OSError, match="No space left"):
        files.append(tmp_path / "rows", "two\n")
    assert (tmp_path / "rows").read_text() == "one\n"


@pytest.mark.parametrize("open_or_add", [lambda p: files.append(p, "x\n"), files.opened_log])
@pytest.mark.parametrize("kind", ["symbolic", "hard", "pipe", "device"])
def test_nothing_is_added_through_a_link_or_to_a_pipe_or_device(kind, open_or_add, tmp_path):
    victim, place = _made(tmp_path / "victim", "precious"), tmp_path / "rows"
    match kind:
        case "symbolic":
            place.symlink_to(victim)
        case "hard":
            place.hardlink_to(victim)
        case "pipe":
            os.mkfifo(place)
        case _:
            place.symlink_to("/dev/null")
    with pytest.raises(OSError):  # noqa: PT011 (several errors, all of the system)
        open_or_add(place)
    assert victim.read_text() == "precious"


# ---- folders


def test_a_folder_that_is_put_in_its_place_is_on_the_disk_first(tmp_path, monkeypatch):
    made = tmp_path / ".part"
    (made / "inner").mkdir(parents=True)
    _made(made / "config.json", "{}"), _made(made / "inner" / "weights", "12345")
    calls = _calls(monkeypatch)
    files.place_folder(made, tmp_path / "model")
    assert (tmp_path / "model" / "inner" / "weights").read_text() == "12345"
    before = calls[: calls.index("rename")]
    assert {"flush file of 2", "flush file of 5"} <= set(before)
    assert before.count("flush folder of names") == 2
    assert calls[-1] == "flush folder of names"


def test_a_folder_inside_is_made_once_and_a_link_in_its_place_is_refused(tmp_path):
    assert files.subfolder(tmp_path, "parts") == files.subfolder(tmp_path, "parts")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "link").symlink_to(elsewhere, target_is_directory=True)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    _made(tmp_path / "file")
    for name in ("link", "dangling", "file"):
        with pytest.raises(NotADirectoryError):
            files.subfolder(tmp_path, name)
    assert not (tmp_path / "nowhere").exists()
