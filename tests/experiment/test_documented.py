"""What docs/experiments.md says of the file holds, and its examples run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from nextoffer.experiment.bank import SOURCES
from nextoffer.experiment.file import Experiment
from nextoffer.experiment.planning import plan

PAGE = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_example_file_is_right_and_can_be_planned() -> None:
    test = Experiment.parse(blocks("toml")[0])
    assert plan(test).customers > 0
    assert [metric.role for metric in test.metric] == ["primary", "guardrail"]


def test_every_key_is_documented() -> None:
    for name, field in Experiment.model_fields.items():
        parts = [field.annotation, *getattr(field.annotation, "__args__", ())]
        inner = next((p.model_fields for p in parts if hasattr(p, "model_fields")), None)
        keys = [name] if inner is None else [f"{name}.{f.alias or key}" for key, f in inner.items()]
        for key in keys:
            assert f"`{key}`" in PAGE, key


def test_every_metric_of_a_bank_is_documented() -> None:
    for source in SOURCES:
        assert f"| `{source}` |" in PAGE


def test_the_python_example_runs() -> None:
    names: dict[str, Any] = {}
    exec("\n".join(blocks("python")), names)
    assert names["found"].verdict.code == "better"
