"""A stand-in for nvidia-ml-py: the GPUs and refusals that FAKE_NVML (JSON) tells of.

{"gpus": [{"name", "uuid", "watts", "used", "total", "mig", "pid"}, ...],
"refuse": {function: error}, "after_s": of the process, when the refusals begin,
"bytes": whether texts are bytes}. A GPU may have "slowdowns" (bits), "counter" (whether it counts
its energy), "back_s" (of the process, when that begins anew), "others" (rows of pid and bytes) and
"pcie_ms" (how long that question takes); "old": a library without the new name of slowdowns.
"""

import json
import math
import os
import time
from types import SimpleNamespace

NVML_NVLINK_MAX_LINKS = 18
NVML_CLOCK_SM, NVML_CLOCK_MEM = 1, 2
NVML_TEMPERATURE_GPU = 0
nvmlMemory_v2 = 0x02000028  # the library's own name
NVML_PCIE_UTIL_TX_BYTES, NVML_PCIE_UTIL_RX_BYTES = 0, 1
ERRORS = {
    "NOT_SUPPORTED": "Not Supported",
    "NO_PERMISSION": "Insufficient Permissions",
    "GPU_IS_LOST": "GPU is lost",
    "UNKNOWN": "Unknown Error",
    "DRIVER_NOT_LOADED": "Driver Not Loaded",
    "LIBRARY_NOT_FOUND": "NVML Shared Library Not Found",
    "LIB_RM_VERSION_MISMATCH": "RM has detected an NVML/RM version mismatch.",
}
_BORN = time.monotonic()


class NVMLError(Exception):
    """The library's error; all of its kinds in one here."""


def _told():
    return json.loads(os.environ.get("FAKE_NVML", "{}"))


def _query(function):
    """Make a function refuse where it is told to."""

    def ask(*arguments):
        told = _told()
        error = told.get("refuse", {}).get(function.__name__)
        if error and time.monotonic() - _BORN >= told.get("after_s", 0):
            if error in ERRORS:
                raise NVMLError(ERRORS[error])
            return json.loads(error)  # a value that stands for none
        return function(*arguments)

    return ask


def _text(value):
    return value.encode() if _told().get("bytes") else value


def _gpu(handle):
    given = _told()["gpus"][int(handle.removeprefix("handle "))]
    index = handle.removeprefix("handle ")
    plain = {"name": "Card", "uuid": f"GPU-{index}{index}{index}", "watts": 100, "mig": 0}
    rest = {"slowdowns": 0, "counter": False, "back_s": math.inf, "others": [], "pcie_ms": 0}
    return {**plain, "used": 2**30, "total": 2**36, **rest, **given}


@_query
def nvmlInit():
    """Open the library."""


@_query
def nvmlShutdown():
    """Close it."""


@_query
def nvmlDeviceGetCount():
    return len(_told().get("gpus", []))


@_query
def nvmlDeviceGetHandleByIndex(index):
    return f"handle {index}"


@_query
def nvmlDeviceGetName(gpu):
    return _text(_gpu(gpu)["name"])


@_query
def nvmlDeviceGetUUID(gpu):
    return _text(_gpu(gpu)["uuid"])


@_query
def nvmlSystemGetDriverVersion():
    return _text("580.1")


@_query
def nvmlDeviceGetMemoryInfo(gpu, version=None):
    return SimpleNamespace(total=_gpu(gpu)["total"], used=_gpu(gpu)["used"])


@_query
def nvmlDeviceGetMemoryBusWidth(gpu):
    return 5120


@_query
def nvmlDeviceGetMaxPcieLinkGeneration(gpu):
    return 5


@_query
def nvmlDeviceGetMaxPcieLinkWidth(gpu):
    return 16


@_query
def nvmlDeviceGetNvLinkState(gpu, link):
    return 1


@_query
def nvmlDeviceGetMaxClockInfo(gpu, kind):
    return 1980


@_query
def nvmlDeviceGetMigMode(gpu):
    return [_gpu(gpu)["mig"], _gpu(gpu)["mig"]]


@_query
def nvmlDeviceGetUtilizationRates(gpu):
    return SimpleNamespace(gpu=50)


@_query
def nvmlDeviceGetPowerUsage(gpu):
    return round(1000 * _gpu(gpu)["watts"])


@_query
def nvmlDeviceGetTotalEnergyConsumption(gpu):
    told, now_s = _gpu(gpu), time.monotonic()
    if not told["counter"]:
        raise NVMLError(ERRORS["NOT_SUPPORTED"])
    is_back = now_s - _BORN >= told["back_s"]
    return round(1000 * told["watts"] * (now_s - _BORN if is_back else now_s))


@_query
def nvmlDeviceGetClockInfo(gpu, kind):
    return {NVML_CLOCK_SM: 1755, NVML_CLOCK_MEM: 2619}[kind]


@_query
def nvmlDeviceGetTemperature(gpu, sensor):
    return 61


@_query
def nvmlDeviceGetCurrentClocksEventReasons(gpu):
    if _told().get("old"):
        raise NVMLError("Function Not Found")
    return _gpu(gpu)["slowdowns"]


@_query
def nvmlDeviceGetCurrentClocksThrottleReasons(gpu):
    return _gpu(gpu)["slowdowns"]


@_query
def nvmlDeviceGetPcieThroughput(gpu, direction):
    time.sleep(_gpu(gpu)["pcie_ms"] / 1000)
    return 1000 * (1 + direction)


@_query
def nvmlDeviceGetComputeRunningProcesses(gpu):
    rows = [{"pid": _gpu(gpu).get("pid", os.getpid()), "bytes": 2**20}, *_gpu(gpu)["others"]]
    return [SimpleNamespace(pid=row["pid"], usedGpuMemory=row["bytes"]) for row in rows]
