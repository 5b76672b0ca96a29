"""Run the notebook and keep what it shows: `python docs/notebook.py` (needs nbclient, ipykernel and
pandas; some minutes).

What a kernel says besides, such as its version and the moments of each cell, is left out, so that a
second run of the same figures changes nothing.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name("perplexity-against-size.ipynb")


def main() -> None:
    """Execute every cell in the folder of the notebook and write it back."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=3600, record_timing=False).execute()
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
