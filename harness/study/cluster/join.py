"""Is there a cluster? Whoever names one that does not answer hears so within 15 seconds."""

from __future__ import annotations

import socket
from typing import Any

from harness.kernel.errors import SetupFailed
from harness.kernel.machine import waits
from harness.kernel.process import children
from harness.study.cluster import quiet

_CONNECT_S = 3.0


def join(address: str) -> Any:
    """Connect to the cluster; return Ray. Raises SetupFailed."""
    ray = quiet.imported()
    if ray.is_initialized():
        return _connected(ray, address)
    if address == "local":
        return quiet.connect(address)
    if "://" not in address and ":" in address:
        _refuse_closed(address)
    try:
        done = children.finished("harness.study.cluster.probe", address, limit=waits.REACHING)
    except waits.Overdue:
        raise _silent(address, f"no cluster answered within {waits.REACHING.most_s:g} s") from None
    said = done.stdout.strip().splitlines()
    if not said or said[-1] != "yes":
        raise _silent(address, said[-1] if said else "it could not be reached")
    return quiet.connect(address)


def _connected(ray: Any, address: str) -> Any:
    """Return Ray as this process is connected already. Raises SetupFailed if that is to another
    cluster.
    """
    known = ray.get_runtime_context().gcs_address
    if "://" in address or address in ("auto", "local", known):
        return ray
    raise _silent(address, f"this process is connected to the cluster at {known}")


def _refuse_closed(address: str) -> None:
    """Raise SetupFailed where nobody listens at host:port."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except ValueError:
        raise _silent(address, f"{port!r} is not a port") from None
    except OSError as error:
        raise _silent(address, (error.strerror or str(error)).lower()) from None


def _silent(address: str, found: str) -> SetupFailed:
    fine = "expected the head of a Ray cluster, such as 10.0.0.5:6379, auto or local"
    return SetupFailed(f"--ray-address {address}", found, fine, "Is it running (ray status)?")
