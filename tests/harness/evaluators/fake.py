"""A virtual environment in which something calls itself lm-eval 9.8.7 (fake_lm_eval.py)."""

from __future__ import annotations

import venv
from pathlib import Path

SOURCE = Path(__file__).with_name("fake_lm_eval.py")
ABOUT = "Metadata-Version: 2.1\nName: lm-eval\nVersion: 9.8.7\n"


def environment(place: Path) -> Path:
    """Make it there; return its Python."""
    venv.create(place)
    (site,) = place.glob("lib/python3*/site-packages")
    (site / "lm_eval").mkdir()
    (site / "lm_eval" / "__init__.py").touch()
    (site / "lm_eval" / "__main__.py").write_text(SOURCE.read_text())
    (site / "lm_eval-9.8.7.dist-info").mkdir()
    (site / "lm_eval-9.8.7.dist-info" / "METADATA").write_text(ABOUT)
    return place / "bin" / "python"
