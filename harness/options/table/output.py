"""What is kept and shown of a run, and where?"""

# Annotations are read as they stand, so they are not deferred here.
from pathlib import Path

from harness.options.kinds import Interval
from harness.options.option import OUT, option
from harness.options.percentiles import Percentiles


class OutputOptions:
    # fmt: off


    percentiles: Percentiles = option(
        OUT, (),
        "Percentiles to show of each latency, for example 50,99,99.99. They change no verdict.",
        metavar="LIST", commands="run compare report",
    )
    no_page: bool = option(
        OUT, False, "Leave report.html for later: harness report makes it from the run folder.",
        commands="run", is_place=True,
    )
    telemetry_interval: Interval = option(
        OUT, 0.1,
        "How often the GPUs of a run are sampled, from 10ms to 1s. Default: 100ms. Processes and "
        "servers are sampled once a second.", unit="s", commands="run compare gate",
    )
    output_dir: Path = option(
        OUT, Path("runs"), "Folder in which to create the run folder. Default: runs.",
        metavar="FOLDER", commands="run compare gate perplexity", is_place=True, is_audits=True,
    )

    # fmt: on
