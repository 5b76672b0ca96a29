"""In a container the memory that may be taken is the control group's, in both versions of them."""

from __future__ import annotations

import psutil
import pytest

from harness import doctor
from harness.kernel.machine.memory import available_bytes, limit_bytes

GIB = 2**30


def put(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


V2 = {
    "proc/self/cgroup": "0::/",
    "sys/fs/cgroup/memory.max": GIB,
    "sys/fs/cgroup/memory.current": GIB // 2,
    "sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {GIB // 4}",
}
V1 = {
    "proc/self/cgroup": "5:cpu,cpuacct:/\n4:memory:/docker/12ab\n0::/",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": GIB,
    "sys/fs/cgroup/memory/memory.usage_in_bytes": GIB // 2,
    "sys/fs/cgroup/memory/memory.stat": f"inactive_file 7\ntotal_inactive_file {GIB // 4}",
}


@pytest.mark.parametrize("files", [V1, V2], ids=["v1", "v2"])
def test_a_containers_limit_counts_less_what_it_uses(tmp_path, files):
    root = put(tmp_path, files)
    assert limit_bytes(root) == GIB
    assert available_bytes(root) == GIB - GIB // 4


def test_the_smallest_limit_around_us_counts(tmp_path):
    inner = "sys/fs/cgroup/user.slice/job"
    root = put(tmp_path, {**V2, "proc/self/cgroup": "0::/user.slice/job"})
    put(root, {f"{inner}/memory.max": "max", f"{inner}/memory.current": 5})
    assert limit_bytes(root) == GIB
    put(root, {f"{inner}/memory.max": GIB // 8})
    assert limit_bytes(root) == GIB // 8
    assert available_bytes(root) == GIB // 8 - 5


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "nonsense"},
        {"proc/self/cgroup": "0::/../.."},
        {**V2, "sys/fs/cgroup/memory.max": "max"},
        {**V1, "sys/fs/cgroup/memory/memory.limit_in_bytes": 9223372036854771712},
    ],
)
def test_without_a_limit_the_memory_is_the_machines(tmp_path, files):
    root = put(tmp_path, files)
    assert limit_bytes(root) is None
    assert available_bytes(root) > psutil.virtual_memory().available / 2


def test_a_group_over_its_limit_has_nothing_left(tmp_path):
    assert available_bytes(put(tmp_path, {**V2, "sys/fs/cgroup/memory.current": 3 * GIB})) == 0


def test_doctor_tells_the_limit():
    said = doctor._memory({"memory_bytes": 64 * GIB, "memory_limit_bytes": 4 * GIB})
    assert said == "64.0 GiB, of which this process may take 4.0 GiB"
