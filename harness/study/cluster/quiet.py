"""How is Ray used without its own words? No logs of workers, no dashboard, no usage statistics, no
signal handler of its own.
"""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

from harness.kernel.errors import SetupFailed

_SILENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # it warns of a change to come, else
    "RAY_DISABLE_IMPORT_WARNING": "1",
}
_is_ours = False  # the connection to a cluster


def imported() -> Any:
    """Return Ray. Raises SetupFailed where it is not installed."""
    for name, value in _SILENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        todo = "Install it with: pip install 'touchstone-harness[ray]'."
        raise SetupFailed("--executor ray", "Ray is not installed", "", todo) from None
    return ray


def connect(address: str) -> Any:
    """Connect to a cluster, or to a new one on this machine alone (`local`); return Ray."""
    global _is_ours
    ray = imported()
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address == "local":
        how |= {"include_dashboard": False}
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # of what it says before it is configured
    heard = signal.getsignal(signal.SIGTERM)
    ray.init(address, configure_logging=False, **how)
    signal.signal(signal.SIGTERM, heard)  # it ends the program, else
    _let_nothing_be_printed()
    _is_ours = True
    return ray


def leave() -> None:
    """Leave the cluster that `connect` joined; a connection of whoever calls us stays."""
    global _is_ours
    if _is_ours:
        _is_ours = False
        imported().shutdown()


def _let_nothing_be_printed() -> None:
    """Ray prints to stdout when a node dies, which programs read."""
    import ray._private.worker as worker

    worker._worker_logs_enabled = False
