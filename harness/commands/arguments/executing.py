"""Options on where the runs of a study are made, the same for every command that makes one."""

from __future__ import annotations

from typing import Annotated

import typer

_PANEL = "Output"
Executor = Annotated[
    str,
    typer.Option(
        "--executor",
        help="Where each run is made: here, child (in a process of its own, so that a crash of "
        "the harness costs one run) or ray (on the nodes of a Ray cluster, several at a time).",
        rich_help_panel=_PANEL,
    ),
]
RayAddress = Annotated[
    str,
    typer.Option(
        "--ray-address",
        metavar="ADDRESS",
        help="Ray cluster to use with --executor ray: host:port, ray://host:port, local or auto "
        "(the default: the one that this machine belongs to).",
        rich_help_panel=_PANEL,
    ),
]
RayCpus = Annotated[
    int,
    typer.Option(
        "--ray-cpus",
        metavar="N",
        help="Processors of each run with --executor ray, so that several share a node. Default: "
        "each run has a node to itself, so that no run disturbs another.",
        rich_help_panel=_PANEL,
    ),
]


def executor_of(executor: str, ray_address: str = "", ray_cpus: int = 0) -> str:
    """Return the executor as a study keeps it. Raises BadInput, and SetupFailed where a cluster
    does not answer.
    """
    from harness.study import executors

    where = executors.named(executor, ray_address, ray_cpus)
    executors.check(where)
    return str(where)
