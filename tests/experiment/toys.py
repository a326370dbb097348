"""Toy experiments."""

from __future__ import annotations

from nextoffer.experiment.file import Experiment

PLAIN = """
name = "cards"
starts = 2026-03-01
ends = 2026-03-28
"""
ARMS = """
[[arm]]
name = "old"
share = 0.5
[[arm]]
name = "new"
share = 0.5
"""
ACCEPTED = """
[[metric]]
name = "accepted"
"""


def experiment(*, top: str = "", arms: str = ARMS, metrics: str = ACCEPTED) -> Experiment:
    return Experiment.parse(PLAIN + top + arms + metrics)
