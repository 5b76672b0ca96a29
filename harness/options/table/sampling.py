"""How often is each question of a task asked, and how are answers drawn?"""

# Annotations are read as they stand, so they are not deferred here.
from harness.options import names
from harness.options.kinds import Attempts, Nucleus, SamplingSeed, Temperature
from harness.options.option import MODEL, option

_COMMANDS = "run plan compare gate"


class SamplingOptions:
    # fmt: off


    attempts: Attempts = option(
        MODEL, 1, "How often each question of --task is asked, each time with a seed of its own. "
        "Default: 1.", commands=_COMMANDS, needs="dataset",
    )
    temperature: Temperature = option(
        MODEL, 0.0, "Draw the answers to --task at this temperature. Default: 0, the most likely "
        "token each time.", commands=_COMMANDS, needs="dataset",
    )
    top_p: Nucleus = option(
        MODEL, 1.0, "Draw only from the most likely tokens that have this share of the probability "
        "together. Default: 1, all.", commands=_COMMANDS, needs="dataset",
    )
    sampling_seed: SamplingSeed = option(
        MODEL, 0, "Where the seeds of all drawn answers come from: the same seed, the same draws. "
        "Default: 0.", commands=_COMMANDS, needs="dataset",
    )
    verifier: str | None = option(
        MODEL, None, "A Python function, module:function, that gives the text of an answer a "
        "number: of several attempts the one with the highest counts as best.",
        metavar="MODULE:FUNCTION", commands=_COMMANDS, needs="dataset", check=names.verifier,
    )

    # fmt: on
