"""Does a log of another process hold secrets? They are hidden once that process has ended: some
libraries print the URLs they ask, and SUTs their options.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from harness.kernel.errors import BadInput
from harness.kernel.files import write_text
from harness.kernel.foreign.own_files import read_text
from harness.kernel.privacy.secrets import hidden


def hide_secrets(*logs: Path) -> None:
    """Hide the secrets in logs that are there; one that is no text, or larger than 64 MiB, or
    cannot be written any more stays as it is.
    """
    for log in logs:
        with suppress(OSError, UnicodeDecodeError, BadInput):
            text = read_text(log)
            if (told := hidden(text)) != text:
                write_text(log, told)
