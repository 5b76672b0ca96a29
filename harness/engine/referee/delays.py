"""How late was the driver itself? The part of every stamp that is the driver's own.

A stamp is made when an event is delivered. What was sent earlier waited for the driver: it was
asleep, stopped, starved of a processor, or busy with what came before. `Arrivals` has both moments
of each delivery; here they are found again for each stamp, after the run.

    message, post   the sender goes on without the driver, so a stamp has the delay of its own
                    message and of no other
    timer           the system under test shares the driver's thread and sets its next timer when
                    the last one ran: the delays of a sample's timers add up

What happens between a delivery and its stamp (a frame is read, a model in this process works) is
not counted. An event told inside `issue` has no delivery, and no delay. A query that waits for a
late one before it (all slots taken) is late too; that is not counted: the delays are lower bounds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.kernel.clock import Arrivals
from harness.kernel.log import RunLog
from harness.kernel.types import NEVER, Int64s

Flags = NDArray[np.bool_]


class Delays(NamedTuple):
    stamp_ns: Int64s  # (t,) of every token's stamp
    done_ns: Int64s  # (n,) of every completion


class _Deliveries(NamedTuple):
    """Of some moments: which delivery each belongs to (-1: none), how late it was, and whether it
    was a timer.
    """

    row: Int64s
    late_ns: Int64s
    is_timer: Flags


def delays(log: RunLog, arrivals: Arrivals, start_ns: int) -> Delays:
    """Return what the driver was late by at each stamp; `start_ns` is where the log's times
    begin.
    """
    n = len(log)
    owner = np.repeat(np.arange(n), np.diff(log.stamp_start))
    order = np.concatenate((owner, np.arange(n)))
    moments = np.concatenate((log.stamp_ns, log.done_ns))
    by_sample = np.argsort(order, kind="stable")  # of each: its tokens, then its completion
    found = _deliveries(moments[by_sample], arrivals, log.issued_ns, start_ns)
    late_ns = _of_samples(order[by_sample], found)
    own_ns = np.empty_like(late_ns)
    own_ns[by_sample] = late_ns
    most_ns = np.maximum(moments - log.issued_ns[order], 0)  # whatever a sender claims
    own_ns = np.where(moments == NEVER, 0, np.minimum(own_ns, most_ns))
    return Delays(own_ns[: len(owner)], own_ns[len(owner) :])


def _deliveries(
    moments: Int64s, arrivals: Arrivals, issued_ns: Int64s, start_ns: int
) -> _Deliveries:
    """Find the delivery before each moment, unless a query was issued since."""
    at_ns = np.array(arrivals.at_ns, np.int64) - start_ns
    by_time = np.argsort(at_ns, kind="stable")
    at_ns = np.concatenate(([np.iinfo(np.int64).min], at_ns[by_time]))
    sent_ns = np.concatenate(([0], (np.array(arrivals.sent_ns, np.int64) - start_ns)[by_time]))
    timers = np.concatenate(([0], np.frombuffer(bytes(arrivals.is_timer), np.uint8)[by_time]))
    row = np.searchsorted(at_ns, moments, "right") - 1
    issued_ns = np.concatenate(([np.iinfo(np.int64).min], np.sort(issued_ns)))
    last_issue_ns = issued_ns[np.searchsorted(issued_ns, moments, "right") - 1]
    is_delivered = (row > 0) & (last_issue_ns <= at_ns[row])
    late_ns = np.where(is_delivered, np.maximum(at_ns[row] - sent_ns[row], 0), 0)
    return _Deliveries(
        np.where(is_delivered, row, NEVER), late_ns, is_delivered & (timers[row] > 0)
    )


def _of_samples(owner: Int64s, found: _Deliveries) -> Int64s:
    """Add up the delays of a sample's timers, each once; `owner` ascends."""
    begins = np.ones(len(owner), np.bool_)
    begins[1:] = owner[1:] != owner[:-1]
    is_new = begins.copy()
    is_new[1:] |= found.row[1:] != found.row[:-1]
    of_timers = np.cumsum(np.where(found.is_timer & is_new, found.late_ns, 0))
    first = np.flatnonzero(begins)
    before = of_timers[first] - np.where(found.is_timer[first], found.late_ns[first], 0)
    of_timers = of_timers - np.repeat(before, np.diff(np.append(first, len(owner))))
    return np.asarray(of_timers + np.where(found.is_timer, 0, found.late_ns), np.int64)
