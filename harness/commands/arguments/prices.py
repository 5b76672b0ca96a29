"""What does a server cost? The option that decisions, costs and comparisons take."""

from __future__ import annotations

from typing import Annotated

import typer

PricePerHour = Annotated[
    str | None,
    typer.Option(
        help="Price of one server for an hour, for example 2.5, or fp32=4,int8=2.5.",
        rich_help_panel="Cost",
        metavar="USD",
    ),
]
