"""What turns samples into tokens and says so through one Sink. One file and one line per system
under test (SUT).

`isolated` tells whether the SUT runs in a process of its own unless the user asks for
`--in-process`, `uses_dataset` whether it is asked the questions of `--dataset` or numbered
stand-ins.
"""

from typing import NamedTuple


class Entry(NamedTuple):
    factory: str
    isolated: bool
    uses_dataset: bool
    summary: str


TABLE = {
    "local": Entry(
        "sut.local_model:LocalModel",
        True,
        True,
        "a causal language model on this machine, batched in flight",
    ),
    "simulated": Entry(
        "sut.simulated:Simulated",
        False,
        False,
        "service times on the chosen clock, without a model; misbehaves on request",
    ),
    "null": Entry("sut.null:Null", False, False, "answers at once, to measure the driver itself"),
}
