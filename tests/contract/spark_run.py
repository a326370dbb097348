"""Decides for several banks in one Spark session of its own: ``python -m tests.contract.spark_run MASTER TASKS``.

TASKS is a JSON list of [bank, model, decisions]. It runs as a process of its own, as a machine can hold one Spark.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from nextoffer.run.engine import Engine
from nextoffer.run.spark import recommend_on_spark
from nextoffer.tables.bank import Bank


def main() -> None:
    """Run."""
    master, tasks = sys.argv[1], json.loads(sys.argv[2])
    for bank, model, out in tasks:
        recommend_on_spark(Engine.load(model), Bank.read(bank), Path(out), master=master)


if __name__ == "__main__":
    main()
