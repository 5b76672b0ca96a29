"""How is work that nobody times spread over a cluster? As tasks of Ray, one processor each, on any
node that has one free.

What comes back is what this machine would have computed: a part whose node is lost, has another
harness or fails is done here. So is the rest where other work has all the processors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from harness.kernel.machine import installed
from harness.study.executors.made import Done, Part

_OPEN = 64  # parts at most that wait at Ray, in its memory
_PATIENCE_S = 60.0  # for the next part to be done
_RETRIES = 2  # by Ray, where the node of a part is lost


def each(
    ray: Any, work: Callable[[Part], Done], parts: Iterable[Part]
) -> Iterator[tuple[int, Done]]:
    """See `harness.study.executors.made.Crew.each`."""
    task = ray.remote(_done).options(num_cpus=1, max_retries=_RETRIES, scheduling_strategy="SPREAD")
    left = enumerate(parts)
    waiting: dict[Any, tuple[int, Part]] = {}
    try:
        while True:
            for number, part in islice(left, _OPEN - len(waiting)):
                waiting[task.remote(installed.versions(), work, part)] = number, part
            if not waiting:
                return
            ready, _ = ray.wait(list(waiting), num_returns=1, timeout=_PATIENCE_S)
            if not ready:
                break
            number, part = waiting.pop(ready[0])
            yield number, _got(ray, ready[0], work, part)
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)
    for number, part in [*waiting.values(), *left]:
        yield number, work(part)


def _got(ray: Any, reference: Any, work: Callable[[Part], Done], part: Part) -> Done:
    """Return what came of a part, by a node that is like us or by ourselves."""
    try:
        found: list[Done] = ray.get(reference)
    except ray.exceptions.RayError:
        found = []
    return found[0] if found else work(part)


def _done(versions: dict[str, str], work: Callable[[Part], Done], part: Part) -> list[Done]:
    """Do a part on a node; nothing comes of it where the harness is another one."""
    return [] if installed.differing(versions) else [work(part)]
