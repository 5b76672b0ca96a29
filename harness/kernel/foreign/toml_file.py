"""What does a TOML file say that a user named? Or why is it none, in a sentence that names the flag
it was given with?
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from harness.kernel.errors import BadInput
from harness.kernel.foreign.own_files import read_given
from harness.kernel.foreign.parsed import check_depth, too_deep
from harness.kernel.places import wrong_path
from harness.kernel.texts import other_kind

_MOST_BYTES = 1 << 20  # tomllib takes seconds for more
_LINES = "expected lines such as target_qps = 10"


def read_toml(path: Path, flag: str) -> dict[str, Any]:
    """Return the content of the file that was given with `flag`. Raises BadInput."""
    doing, read = f"{flag} {path}", b""
    try:
        read = read_given(path, _MOST_BYTES)
        data = tomllib.loads(read.decode("utf-8-sig"))
        check_depth(data)
    except OSError:
        raise wrong_path(doing, path, "expected a TOML file") from None
    except UnicodeDecodeError:
        raise _not_text(doing, read) from None
    except tomllib.TOMLDecodeError as error:
        if other_kind(read):
            raise _not_text(doing, read) from None
        raise BadInput(doing, f"it is not TOML ({error})", _LINES, "Correct the line.") from None
    except (ValueError, RecursionError):
        raise BadInput(doing, str(too_deep()), _LINES, "Correct the line.") from None
    return data


def _not_text(doing: str, data: bytes) -> BadInput:
    found, fine = f"it is {other_kind(data) or 'not UTF-8 text'}", "expected a TOML file in UTF-8"
    return BadInput(doing, found, fine, "Save it as UTF-8.")
