"""Decisions as folders of Parquet parts, each written by one worker of a cluster."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nextoffer import compiled
from nextoffer.errors import NextOfferError
from nextoffer.features import FeatureSpec, as_known
from nextoffer.run.engine import Desk, Engine
from nextoffer.tables.flow import Asked
from nextoffer.tables.write import TableWriter, write_table


@dataclass(frozen=True)
class Scratch:
    """The folders that parts are written to until all are whole, beside the place of the decisions.

    Attributes
    ----------
    decisions, refusals
        One for each kind of rows.
    tables
        For tables that are handed to the cluster.
    """

    decisions: Path
    refusals: Path
    tables: Path

    def publish(self, told: Iterable[Mapping[str, Any]], decisions: Path, refusals: Path) -> None:
        """Number the parts that workers tell of by their first customer, and put the folders in their places.

        Parts that nobody tells of (of a worker that died and was replaced) are left behind.
        """
        in_order = sorted(told, key=lambda part: part["first"])
        for kind, target in (("decisions", decisions), ("refusals", refusals)):
            folder: Path = getattr(self, kind)
            whole = folder.with_name(f"{folder.name}.whole")
            whole.mkdir()
            for number, part in enumerate(in_order):
                (folder / f"{part['name']}.parquet").rename(whole / f"part-{number:05}.parquet")
            _replace(whole, target)


@contextmanager
def scratch_beside(decisions: Path, refusals: Path) -> Iterator[Scratch]:
    """Give empty folders on the disk where the decisions will be, and remove what is left of them.

    Raises
    ------
    NextOfferError
        Something else is where the decisions or refusals should go, or both should go to one place.
    """
    if decisions == refusals:
        raise NextOfferError(f"decisions and refusals cannot both be written to {decisions}")
    for target in (decisions, refusals):
        _check_free(target)
    token = uuid.uuid4().hex[:12]
    base = decisions.absolute().parent / f".{token}.{decisions.name}"
    scratch = Scratch(base / "decisions", base / "refusals", base / "tables")
    try:
        for folder in (scratch.decisions, scratch.refusals, scratch.tables):
            folder.mkdir(parents=True)
        yield scratch
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _check_free(target: Path) -> None:
    if target.is_file():
        raise NextOfferError(f"{target} is a file; a cluster writes a folder of parts")
    if target.is_dir() and any(not _is_part(p) for p in target.iterdir()):
        raise NextOfferError(f"{target} holds other things than parts of decisions: choose another folder")


def _is_part(path: Path) -> bool:
    return path.is_file() and path.name.startswith("part-") and path.suffix == ".parquet"


def _replace(whole: Path, target: Path) -> None:
    old = whole.with_name(f"{whole.name}.old")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(old)
    whole.rename(target)


@dataclass(frozen=True)
class Worker:
    """Decides for batches of customers and writes parts: a saved model that travels through the cluster.

    Attributes
    ----------
    model
        The files of a saved model, by name; every worker verifies their sums once.
    model_id, policy_id
        What decisions name them by. The model's is that of its first saving, even if files of an earlier version were
        saved anew for the journey.
    products
        The bank's products, as an Arrow stream.
    as_of
        The day decided for.
    scratch
        Where parts go.
    many
        There are so many customers that compiling pays.
    """

    model: Mapping[str, bytes]
    model_id: str
    policy_id: str
    products: bytes
    as_of: date
    scratch: Scratch
    many: bool

    @classmethod
    def of(cls, engine: Engine, products: pa.Table, as_of: date, scratch: Scratch, *, many: bool) -> Worker:
        """Return the worker of an engine."""
        with tempfile.TemporaryDirectory() as folder:
            saved = engine.save(Path(folder) / "model")
            model = {path.name: path.read_bytes() for path in sorted(saved.iterdir())}
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, products.schema) as stream:
            stream.write_table(products)
        travelling = sink.getvalue().to_pybytes()
        return cls(model, engine.model_id, engine.policy.policy_id, travelling, as_of, scratch, many)

    def written(self, batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
        """Write the decisions on one partition of wide rows as one part of each kind, and tell of them.

        Yields nothing if there are no rows, else one row: name, first (customer), customers, decisions, refusals. Rows
        should come by rising customer; what an engine did not sort is sorted here.
        """
        spec, asked, desk, products = _ready(self)
        name, first, last, in_order, customers = uuid.uuid4().hex, None, None, True, 0
        paths = [folder / f"{name}.parquet" for folder in (self.scratch.decisions, self.scratch.refusals)]
        with ExitStack() as stack:
            files: list[TableWriter] = []
            for batch in batches:
                if not batch.num_rows:
                    continue
                rows = pa.Table.from_batches([batch]).sort_by("customer_id")
                known = as_known(rows, spec, products, self.as_of, asked=asked)
                decided = desk.decide(known)
                files = files or [stack.enter_context(TableWriter(path)) for path in paths]
                for file, table in zip(files, (decided.decisions, decided.refusals), strict=True):
                    file.write(table)
                ids = known.features.customer_ids
                low, high = ids[0].as_py(), ids[-1].as_py()
                in_order = in_order and (last is None or last < low)
                first, last = low if first is None else min(first, low), high
                customers += len(ids)
        if not files:
            return
        if not in_order:
            for path in paths:
                write_table(pq.read_table(path).sort_by("customer_id"), path)
        decisions, refusals = (file.rows for file in files)
        yield {"name": name, "first": first, "customers": customers, "decisions": decisions, "refusals": refusals}

    def __hash__(self) -> int:
        return hash((self.model_id, self.policy_id))


@lru_cache(maxsize=2)
def _ready(worker: Worker) -> tuple[FeatureSpec, Asked, Desk, pa.ChunkedArray]:
    """The features, what the policy asks, the engine before its products and their ids; once per process."""
    products = pa.ipc.open_stream(worker.products).read_all()
    with tempfile.TemporaryDirectory() as folder:
        for name, content in worker.model.items():
            (Path(folder) / name).write_bytes(content)
        engine = Engine.load(folder)
    engine.__dict__["model_id"] = worker.model_id
    if worker.many:
        compiled.warm_up()
    desk = engine.desk(products, worker.as_of)
    return engine.needs, engine.policy.asked, desk, products.column("product_id")
