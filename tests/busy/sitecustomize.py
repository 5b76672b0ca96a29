"""Whole programs that tests start are as patient with a busy machine as the tests themselves, and
run on the device that these run on.
"""

from patience import lift_limits, pin_device

lift_limits()
pin_device()
