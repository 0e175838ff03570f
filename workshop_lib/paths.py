"""Where the checkout keeps its files: everything is read from and written to the repository."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The repository: the folder that holds `workshop_lib`, `data` and `notebooks`."""

DATA = ROOT / "data"
"""Shipped data: models, tickets, questions, recorded and published figures."""

STATE = ROOT / ".workshop"
"""What a run leaves behind for the next one: the sandbox's address, its log, caches. Never committed."""

OUT = ROOT / "out"
"""Reports and executed notebooks. Never committed."""
