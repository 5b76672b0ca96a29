"""How does a page become one file that opens from disk, needs no network and runs no script?

Everything that a model, a server or a user could have written is hostile here. It passes through
one place: jinja2 calls `shown` on every string (control, bidi and other unseen characters become
readable marks) and then escapes it. Only the pictures of `reports.plots` are taken as they are;
they contain no foreign text but names, which matplotlib escapes. Each page also carries a policy
that forbids scripts and remote content, should anything slip through.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.kernel import files
from harness.kernel.texts import shown
from harness.kernel.words.figure import number
from reports.blocks import Table, grid, percent, tone
from reports.terminal import margin_text

_HERE = Path(__file__).parent


def page(name: str, **parts: Any) -> str:
    """Return a page made of the template `name` in this folder."""
    return _ENVIRONMENT.get_template(name).render(**parts)


def fragment(table: Table) -> str:
    """Return one table as HTML for somebody else's page, such as a notebook."""
    return str(_ENVIRONMENT.get_template("blocks.html").module.table(table))  # type: ignore[attr-defined]


def write(file: Path, text: str) -> Path:
    """Write a page: whole or not at all."""
    files.write_text(file, text)
    return file


def page_style() -> str:
    """Return the style of all pages, for one that is not a file of its own."""
    return (_HERE / "page_style.html").read_text(encoding="utf-8")


def link(run: str) -> str:
    """Return the address of the page of a run inside a study's folder; "" for other runs."""
    path = Path(run)
    if not run or path.is_absolute() or ".." in path.parts:
        return ""
    return f"{quote(run)}/report.html"


def _finalize(value: Any) -> Any:
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def environment(*folders: Path) -> Environment:
    """Return an environment for the templates in these folders, and in ours."""
    environment = Environment(
        loader=FileSystemLoader((*folders, _HERE, _HERE / "likelihood", _HERE / "sweep")),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number, "margin": margin_text, "pretty": _pretty, "grid": grid, "tone": tone,
        "percent": percent,
    }  # fmt: skip
    return environment


_ENVIRONMENT = environment()
