"""When the next query may go, and what a valid run of that kind is. One file and one entry per
scenario.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.kernel import plugins
from harness.kernel.entries import Loadgen, ScenarioEntry
from harness.kernel.errors import BadInput
from scenarios.loads import DEFAULT, load_of

if TYPE_CHECKING:
    from harness.kernel.types import RunSettings

TABLE = {
    "single-stream": ScenarioEntry(
        "scenarios.single_stream:SingleStream",
        loop="closed",
        loadgen=Loadgen("SingleStream", "result_{p:.2f}_percentile_latency_ns", 1e6),
        percentile=0.90,
    ),
    "multi-stream": ScenarioEntry(
        "scenarios.multi_stream:MultiStream",
        loop="closed",
        loadgen=Loadgen("MultiStream", "result_{p:.2f}_percentile_per_query_latency_ns", 1e6),
        sized_by_user=True,
        min_queries=662,
    ),
    "server": ScenarioEntry(
        "scenarios.server:Server",
        loop="open",
        loadgen=Loadgen("Server", "result_completed_samples_per_sec"),
        has_limits=True,
    ),
    "offline": ScenarioEntry(
        "scenarios.offline:Offline",
        loop="at once",
        loadgen=Loadgen("Offline", "result_samples_per_second"),
        issues_library=True,
    ),
}


def entry(name: str) -> ScenarioEntry:
    """Return the entry of a scenario, ours or a plug-in's. Raises BadInput, SetupFailed."""
    found = plugins.find("scenario", name, TABLE, "See python -m harness list scenarios.")
    if not isinstance(found, ScenarioEntry):
        what = f"it is a {type(found).__name__}"
        raise BadInput(f"scenario {name!r}", what, "a plug-in must give a ScenarioEntry")
    return found


def under(found: ScenarioEntry, load: str) -> ScenarioEntry:
    """Return a scenario's entry under a load: only LoadGen's own Poisson process has its logs."""
    if load == DEFAULT:
        return found
    chosen = load_of(load)
    return found._replace(
        loop=chosen.loop, loadgen=None, users=chosen.users, is_rated=chosen.is_rated
    )


def entry_of(settings: RunSettings) -> ScenarioEntry:
    """Return the entry of a run's scenario under its load."""
    return under(entry(settings.scenario), settings.load)


def names() -> list[str]:
    """Return the names of all scenarios, plug-ins included."""
    return plugins.names("scenario", TABLE)
