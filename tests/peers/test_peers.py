"""Does the table show what each client says, ours included?"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.peers import __main__ as peers

SCRIPT = """
import sys
sys.path.insert(0, {here!r})
from said import every, failed, good

async def ask(url, prompt):
    if "cut" in prompt:
        raise ValueError("a <pipe> | in words\\nmore")
    if "html" in prompt:
        return failed("Traceback\\n  File\\nBoom: why")
    return good(None, 0.0125, "7 gaps")

every(ask)
"""


def test_a_row_for_each_failure_and_a_column_for_each_client(golden, tmp_path):
    script = tmp_path / "client.py"
    script.write_text(SCRIPT.format(here=str(Path(peers.__file__).parent)))
    faults = ["", "cut", "html"]
    theirs = peers._theirs(golden, sys.executable, script, faults)
    assert theirs == {
        "": "good: tokens not told, TTFT 12 ms, 7 gaps",
        "cut": "failed: ValueError: a &lt;pipe> / in words",
        "html": "failed: Boom: why",
    }
    ours = peers._ours(golden, faults)
    assert ours[""].startswith("good: 8 tokens")
    assert (ours["cut"], ours["html"]) == ("`cut`", "`not_json`")
    lines = peers.table(faults, {"Touchstone": ours, "other 1.0": theirs}).splitlines()
    assert lines[0] == "| The server | Touchstone | other 1.0 |"
    assert lines[3].startswith("| closed in the middle of a chunk | `cut` | failed: ValueError")


def test_the_version_of_a_client_is_read_in_its_own_environment():
    assert peers._version(sys.executable, ("no-such-package", "pytest"))
