"""Which environment variables does a run write down? Those that are known to change speed, by
name, and their values where they have the form of a setting: numbers, words, lists of them.

Of any other variable with the prefix of one of their libraries the name is kept: that it was set
may explain a figure, and its value may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.kernel.privacy.secrets import HIDDEN, hidden, is_secret_variable

_KNOWN = frozenset(
    f"{prefix}_{name}"
    for prefix, names in {
        "OMP": "NUM_THREADS DYNAMIC SCHEDULE PROC_BIND PLACES STACKSIZE WAIT_POLICY NESTED"
        " MAX_ACTIVE_LEVELS THREAD_LIMIT CANCELLATION DISPLAY_ENV DISPLAY_AFFINITY NUM_TEAMS"
        " TEAMS_THREAD_LIMIT TARGET_OFFLOAD DEFAULT_DEVICE MAX_TASK_PRIORITY",
        "GOMP": "CPU_AFFINITY SPINCOUNT STACKSIZE DEBUG",
        "KMP": "AFFINITY BLOCKTIME HW_SUBSET SETTINGS LIBRARY STACKSIZE TPAUSE WARNINGS ALL_THREADS"
        " DETERMINISTIC_REDUCTION DUPLICATE_LIB_OK INIT_AT_FORK FORKJOIN_BARRIER_PATTERN"
        " FORKJOIN_BARRIER PLAIN_BARRIER_PATTERN REDUCTION_BARRIER_PATTERN USE_YIELD",
        "MKL": "NUM_THREADS DYNAMIC DOMAIN_NUM_THREADS DEBUG_CPU_TYPE CBWR ENABLE_INSTRUCTIONS"
        " THREADING_LAYER INTERFACE_LAYER SERVICE_FORCE_INTEL VERBOSE NUM_STRIPES",
        "CUDA": "VISIBLE_DEVICES DEVICE_ORDER LAUNCH_BLOCKING MODULE_LOADING CACHE_DISABLE"
        " DEVICE_MAX_CONNECTIONS CACHE_MAXSIZE FORCE_PTX_JIT AUTO_BOOST SCALE_LAUNCH_QUEUES"
        " MPS_ACTIVE_THREAD_PERCENTAGE MPS_PINNED_DEVICE_MEM_LIMIT",
        "TORCH": "CUDNN_V8_API_DISABLED ALLOW_TF32_CUBLAS_OVERRIDE CUDA_ARCH_LIST COMPILE_DISABLE"
        " BLAS_PREFER_CUBLASLT BLAS_PREFER_HIPBLASLT USE_CUDA_DSA SHOW_CPP_STACKTRACES LOGS"
        " ROCM_AOTRITON_ENABLE_EXPERIMENTAL NCCL_ASYNC_ERROR_HANDLING",
        "PYTORCH": "CUDA_ALLOC_CONF ALLOC_CONF HIP_ALLOC_CONF NO_CUDA_MEMORY_CACHING JIT"
        " ENABLE_MPS_FALLBACK MPS_HIGH_WATERMARK_RATIO MPS_LOW_WATERMARK_RATIO",
        "TOKENIZERS": "PARALLELISM",
        "HF_HUB": "OFFLINE",
    }.items()
    for name in names.split()
)
_PREFIXES = ("OMP_", "GOMP_", "KMP_", "MKL_", "CUDA_", "TORCH_", "PYTORCH_", "TOKENIZERS_")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SETTING = re.compile(r"[\w .,:;=+*/%#{}()\[\]|<>-]{0,200}")
_LONGEST_WORD = 24  # characters: expandable_segments


def recorded(environment: Mapping[str, str]) -> dict[str, str]:
    """Return name -> value of the variables that a run writes down, values that may be secrets
    hidden.
    """
    return {
        name: _shown(name, value)
        for name, value in sorted(environment.items())
        if name in _KNOWN or name.startswith(_PREFIXES)
    }


def _shown(name: str, value: str) -> str:
    told = _UUID.sub(HIDDEN, value)  # a GPU's: it is of one machine in the world
    words = re.split(r"[\W_]+", told)
    is_setting = _SETTING.fullmatch(told) and max(map(len, words)) <= _LONGEST_WORD
    is_safe = name in _KNOWN and not is_secret_variable(name) and hidden(told) == told
    return told if is_setting and is_safe else HIDDEN
