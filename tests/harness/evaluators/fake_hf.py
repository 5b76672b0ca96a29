"""Plays the part of Hugging Face's `evaluate` and of `datasets` in a virtual environment: as much
of them as a metric's script needs. (tests/clients runs the real ones.)
"""

from __future__ import annotations

import venv
from pathlib import Path

ABOUT = "Metadata-Version: 2.1\nName: evaluate\nVersion: 9.8.7\n"
DATASETS = """
class Value:
    def __init__(self, dtype):
        self.dtype = dtype

Features = dict
"""
EVALUATE = """
import importlib.util, os, sys

assert os.environ["HF_EVALUATE_OFFLINE"] == os.environ["HF_HUB_OFFLINE"] == "1"

class MetricInfo:
    def __init__(self, features, **more):
        self.features = features

class Metric:
    def __init__(self):
        self.features = self._info().features

    def compute(self, predictions, references, **options):
        return self._compute(predictions, references, **options)

def load(path, config_name=None, cache_dir=None, keep_in_memory=False):
    spec = importlib.util.spec_from_file_location("its", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kinds = [one for one in vars(module).values() if isinstance(one, type)]
    (kind,) = [one for one in kinds if issubclass(one, Metric) and one is not Metric]
    return kind()
"""
SCRIPT = """
import datasets
import evaluate


class Mine(evaluate.Metric):
    def _info(self):
        kind = datasets.Value("{dtype}")
        features = datasets.Features({{"predictions": kind, "references": {references}}})
        return evaluate.MetricInfo(
            description="d", citation="c", inputs_description="i", features=features
        )

    def _compute(self, predictions, references, **options):
{body}
"""


def environment(place: Path) -> Path:
    """Make it there; return its Python."""
    venv.create(place)
    (site,) = place.glob("lib/python3*/site-packages")
    (site / "datasets.py").write_text(DATASETS)
    (site / "evaluate.py").write_text(EVALUATE)
    (site / "evaluate-9.8.7.dist-info").mkdir()
    (site / "evaluate-9.8.7.dist-info" / "METADATA").write_text(ABOUT)
    return place / "bin" / "python"


def script(path: Path, body: str, dtype: str = "string", references: str = "kind") -> Path:
    """Write the script of a metric that computes `body`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "\n".join(" " * 8 + line for line in body.splitlines())
    path.write_text(SCRIPT.format(dtype=dtype, references=references, body=lines))
    return path
