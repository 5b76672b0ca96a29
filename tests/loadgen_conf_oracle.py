"""Asks the official LoadGen what its configuration files mean: one case per line of JSON on stdin,
its TestSettings as a line of JSON on stdout. A process of its own, as the wheel logs as it likes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlperf_loadgen as loadgen

OWN_CONF, OTHER_CONF = 0, 2  # conf_type: mlperf.conf, which is embedded; a file over it


def read(case: dict[str, Any]) -> dict[str, Any]:
    """`case`: model, scenario and files, pairs of (model, text in Latin-1). `codes` are what
    FromConfig returned for each file: 0, or a negative errno.
    """
    settings = loadgen.TestSettings()
    settings.FromConfig("", case["model"], case["scenario"], OWN_CONF)
    codes = []
    with tempfile.TemporaryDirectory() as folder:
        for model, text in case["files"]:
            path = Path(folder, "user.conf")
            path.write_bytes(text.encode("latin-1"))
            codes.append(settings.FromConfig(str(path), model, case["scenario"], OTHER_CONF))
    names = [name for name in dir(settings) if name[0].islower()]
    values = {name: getattr(settings, name) for name in names}
    values |= {name: value.name for name, value in values.items() if hasattr(value, "name")}
    return {"codes": codes, **values}


if __name__ == "__main__":
    for request in sys.stdin:
        print(json.dumps(read(json.loads(request))), flush=True)
