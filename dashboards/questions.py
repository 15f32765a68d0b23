"""Offer the questions of `dashboards/questions` to the writers of this folder. The lab's page shows the same ones."""

from __future__ import annotations

from pathlib import Path

from orchestrator.specs.questions import Question as Question
from orchestrator.specs.questions import questions as questions

FOLDER = Path(__file__).parent / "questions"
