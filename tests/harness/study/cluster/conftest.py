"""One cluster for all tests here: a head that only leads, and nodes of this machine."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest

from harness.study.cluster import quiet

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
STORE = 80_000_000


class Nodes:
    """A cluster whose nodes come and go. `head` is what --ray-address takes."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        quiet.imported()
        os.environ["RAY_DISABLE_DOCKER_CPU_WARNING"] = "1"
        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.head = self._cluster.address
        self.nodes = []

    def have(self, count):
        """Make it `count` living nodes of one processor each; return them."""
        while len(self.nodes) < count:
            self.nodes.append(self._cluster.add_node(num_cpus=1, object_store_memory=STORE))
        return self.nodes

    def kill(self, node):
        """Kill a node as SIGKILL does."""
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def close(self):
        with suppress(Exception):
            ray.shutdown()
        self._cluster.shutdown()


@pytest.fixture(scope="package")
def cluster():
    made = Nodes()
    yield made
    made.close()


@pytest.fixture
def two_nodes(cluster):
    cluster.have(2)
    return cluster
