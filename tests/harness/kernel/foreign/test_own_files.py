"""Is a file of a folder read only where it is its own, and never more of it than expected?"""

from __future__ import annotations

import os
import socket

import pytest

from harness.kernel.errors import BadInput
from harness.kernel.foreign import own_files
from harness.kernel.foreign.own_files import check_folder, inside, open_own, read_bytes, read_given


def refused(act, *given):
    with pytest.raises(BadInput) as error:
        act(*given)
    return str(error.value)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "run"
    (made / "accuracy").mkdir(parents=True)
    (made / "settings.json").write_text("{}")
    return made


def test_a_plain_folder_is_taken(folder):
    check_folder(folder, hard_links=False)
    assert read_bytes(folder / "settings.json") == b"{}"


@pytest.mark.parametrize("where", ["x", "settings.json.tmp", "accuracy/x"])
def test_a_link_anywhere_in_a_folder_is_named_with_where_it_leads(folder, tmp_path, where):
    (folder / where).symlink_to(tmp_path)
    assert f"{where}: it is a symbolic link (to {tmp_path})" in refused(check_folder, folder)


def test_a_link_that_leads_nowhere_is_one_too(folder):
    (folder / "x").symlink_to("nowhere")
    assert "it is a symbolic link (to nowhere)" in refused(check_folder, folder)


def test_what_the_user_named_may_be_a_link(folder, tmp_path):
    (tmp_path / "latest").symlink_to(folder)
    check_folder(tmp_path / "latest")
    (tmp_path / "given.json").symlink_to(folder / "settings.json")
    assert read_given(tmp_path / "given.json") == b"{}"


def test_pipes_and_sockets_are_refused_without_waiting_for_them(folder):
    os.mkfifo(folder / "result.json")
    assert "it is a named pipe" in refused(check_folder, folder)
    assert "it is a named pipe" in refused(open_own, folder / "result.json")
    (folder / "result.json").unlink()
    here = os.getcwd()
    os.chdir(folder)  # the name of a socket may have 107 characters
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("s")
    finally:
        os.chdir(here)
    assert "it is a socket" in refused(check_folder, folder)


def test_a_device_is_refused_before_it_is_opened():
    assert "it is a device" in refused(open_own, own_files.Path("/dev/zero"))


def test_a_hard_link_is_read_but_nothing_is_added_to_it(folder, tmp_path):
    os.link(folder / "settings.json", tmp_path / "backup.json")
    check_folder(folder)
    assert "it is a hard link" in refused(lambda: check_folder(folder, hard_links=False))


def test_a_hard_link_to_the_file_of_another_user_is_refused(folder, tmp_path, monkeypatch):
    os.link(folder / "settings.json", tmp_path / "backup.json")
    real = own_files._entries

    class Other:
        """An entry that belongs to somebody else."""

        def __init__(self, entry):
            self.path, self._entry = entry.path, entry

        def stat(self, **how):
            found = self._entry.stat(**how)
            return os.stat_result((*found[:4], found.st_uid + 1, *found[5:]))

    monkeypatch.setattr(own_files, "_entries", lambda place: map(Other, real(place)))
    assert "it is a hard link" in refused(check_folder, folder)


def test_no_more_is_read_than_expected(folder):
    (folder / "settings.json").write_bytes(b" " * 101)
    assert "it is too large; expected at most" in refused(read_bytes, folder / "settings.json", 100)
    assert "it is too large" in refused(read_given, folder / "settings.json", 100)
    assert len(read_bytes(folder / "settings.json", 101)) == 101


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", "a\0b", ".."])
def test_a_name_that_leads_out_is_refused(folder, name):
    with pytest.raises(ValueError, match="leads out"):
        inside(folder, name)


def test_names_inside_are_taken(folder):
    assert inside(folder, "step_01") == folder / "step_01"
    assert inside(folder, "a/accuracy") == folder / "a" / "accuracy"
    assert inside(folder, ".") == folder
