"""The tests stand in the folders of what they test; those of the whole program stand here."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
