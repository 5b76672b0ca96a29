"""What do several commands take and say in the same way?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

Flags = dict[str, Any]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON object as the last line of stdout.", rich_help_panel="Output"
    ),
]

Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        help="Say nothing until the end but what went wrong.",
        rich_help_panel="Output",
    ),
]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="How to print the main table on stdout: table, csv or markdown.",
        rich_help_panel="Output",
    ),
]

TrustFolder = Annotated[
    bool,
    typer.Option(
        "--trust-folder",
        help="Use all that the settings in the folder name: Python code, and models, adapters and "
        "datasets by path.",
    ),
]
TrustCode = Annotated[
    bool,
    typer.Option("--trust-remote-code", help="Allow Python code shipped with the model to run."),
]

SutOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--sut-option",
        metavar="KEY=VALUE",
        help="Option of the SUT that the folder leaves out, since it is a secret.",
    ),
]


def say_how_to_go_on(found: dict[str, Any], place: Path, console: Any) -> None:
    """Print how an interrupted study goes on."""
    if found.get("interrupted") or found.get("status") == "INTERRUPTED":
        words = f"interrupted; go on with: python -m harness resume {place}"
        console.print(words, soft_wrap=True, markup=False, highlight=False)


def configured(flags: Flags) -> Any:
    """Check the flags of a command; return the settings."""
    from harness.options.settings import load_config

    file = flags.pop("config")
    return load_config(with_sut_options(flags), file)


def with_sut_options(flags: Flags) -> Flags:
    """Read the options of the SUT, each KEY=VALUE. Raises BadInput."""
    options = flags["sut_options"]
    return flags | {"sut_options": sut_options(options) if options else None}


def sut_options(words: Iterable[str] | None) -> dict[str, Any]:
    """Read options, each KEY=VALUE. Raises BadInput."""
    return dict(map(_key_value, words or ()))


def _key_value(text: str) -> tuple[str, str | int | float]:
    from harness.kernel.errors import BadInput

    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise BadInput(
            "--sut-option",
            repr(text),
            "KEY=VALUE would be fine",
            "For example: --sut-option ttft_ms=200.",
        )
    for kind in (int, float):
        try:
            return key, kind(value)
        except ValueError:
            continue
    return key, value
