"""Which settings does a run have? One row each, in the order of --help; the row says everything.

A setting whose default is None follows the profile, or does nothing. `Option` explains the columns.
The rows stand in `harness.options.table`, a file for each kind of setting.
"""

from __future__ import annotations

from harness.options.option import declare
from harness.options.table.limits import LimitOptions
from harness.options.table.load import LoadOptions
from harness.options.table.model import ModelOptions
from harness.options.table.output import OutputOptions
from harness.options.table.sampling import SamplingOptions
from harness.options.table.server import ServerOptions


class RunOptions(
    OutputOptions, ServerOptions, SamplingOptions, ModelOptions, LimitOptions, LoadOptions
):
    """One run as the user describes it. `OPTIONS` has the rows; the fields, plain defaults.

    The first row is that of the last class.
    """


OPTIONS = declare(RunOptions)
