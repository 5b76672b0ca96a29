"""Whole programs that tests start are as patient with a busy machine as the tests themselves."""

from patience import lift_limits

lift_limits()
