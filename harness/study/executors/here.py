"""How is a run made in this process?"""

from __future__ import annotations

from harness.kernel.protocols import Say
from harness.options.settings import RunConfig
from harness.running.session import Run
from harness.study.executors.made import Made


def here(config: RunConfig, say: Say) -> Made:
    """Make the run in this process. Raises what the run raises."""
    with Run(config, say) as run:
        result = run.execute().to_json()
    return Made(result, run.folder, run.stop.requests > 0)
