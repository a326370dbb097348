"""``nextoffer card``."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Command


def test_it_prints_markdown_or_json_and_writes_files(model: Path, nextoffer: Command, tmp_path: Path) -> None:
    ran = nextoffer("card", model)
    assert ran.code == 0
    assert ran.out.startswith("# Model card")
    told = json.loads(nextoffer("card", model, "--json").out)
    assert told["model_id"] in ran.out
    written = nextoffer("card", model, "--out", tmp_path / "deep" / "CARD.md")
    assert written.out.strip().endswith("CARD.md")
    assert (tmp_path / "deep" / "CARD.md").read_text(encoding="utf-8") == ran.out


def test_what_is_no_model_is_told(nextoffer: Command, tmp_path: Path) -> None:
    assert nextoffer("card", tmp_path).failed(3, "is not a saved model: it has no manifest.json")
    assert list(tmp_path.iterdir()) == []
