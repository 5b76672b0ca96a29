"""Which settings are impossible together with several attempts, or with answers that are drawn?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.options.settings import RunConfig


def of_attempts(config: RunConfig) -> Iterator[str]:
    """Yield a sentence for each, with what to do about it."""
    from harness.options.table.sampling import SamplingOptions

    own = SamplingOptions.__annotations__
    flags = {name: config.origins[name] for name in own if name in config.origins}
    if config.task is None:
        yield from (
            f"{flag}: only answers to a task are drawn; pass --task."
            for flag in _not_idle(config, flags)
        )
        return
    if config.attempts > 1 and not config.temperature:
        yield (
            f"--attempts {config.attempts}: at temperature 0 all attempts would be the same answer;"
            " pass --temperature 0.8, for example."
        )
    if not config.temperature:
        idle = [flags[name] for name in ("top_p", "sampling_seed") if name in flags]
        yield from (
            f"{flag}: nothing is drawn at temperature 0; pass --temperature." for flag in idle
        )
    if config.verifier is not None and config.attempts == 1:
        yield "--verifier: it chooses among several attempts; pass --attempts 8, for example."
    if config.mode != "accuracy" and (config.attempts > 1 or config.temperature):
        flag = "--attempts" if config.attempts > 1 else "--temperature"
        yield (
            f"{flag}: --mode {config.mode} measures greedy answers; answers are drawn in accuracy"
            " runs, so pass --mode accuracy."
        )
    yield from _of_task(config)


def _of_task(config: RunConfig) -> Iterator[str]:
    """A task that compares given choices draws nothing that could differ."""
    from accuracy.tasks import of_name
    from accuracy.tasks.scorers import asks_likelihoods

    if not (config.attempts > 1 or config.temperature):
        return
    task = of_name(config.task or "")
    if all(map(asks_likelihoods, task.scorers)):
        flag = "--attempts" if config.attempts > 1 else "--temperature"
        yield (
            f"{flag}: {task.name} compares the likelihoods of given choices, which are the same in"
            f" every attempt; leave {flag} out."
        )


def _not_idle(config: RunConfig, flags: dict[str, str]) -> Iterator[str]:
    """Yield the flags that ask for something else than the default."""
    from harness.options.run_options import OPTIONS

    for name, flag in flags.items():
        if getattr(config, name) != OPTIONS[name].default:
            yield flag
