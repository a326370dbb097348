"""Small worlds written once, and how their tables are compared."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nextoffer.simulate import reference, retail
from nextoffer.simulate.folder import TableFolder

SEED_WORLD = Path(__file__).parents[2].parent / "shared" / "data" / "seed_world"


def tables(folder: Path) -> dict[str, pa.Table]:
    """Every table of a folder, by name."""
    return {path.stem: pq.read_table(path) for path in sorted(folder.glob("*.parquet"))}


def sorted_rows(table: pa.Table) -> pa.Table:
    """The same rows in an order that does not depend on how they came."""
    return table.combine_chunks().sort_by([(name, "ascending") for name in table.column_names])


@cache
def reference_tables(
    customers: int = 1500, products: int = 12, seed: int = 7, chunk: int = 65_536
) -> dict[str, pa.Table]:
    with tempfile.TemporaryDirectory() as folder:
        return tables(reference.write(reference.World(customers, products, seed), Path(folder) / "world", chunk=chunk))


@cache
def retail_tables(customers: int = 1500, seed: int = 7, chunk: int = 16_384) -> dict[str, pa.Table]:
    with tempfile.TemporaryDirectory() as folder:
        with TableFolder(Path(folder)) as writing:
            retail.write(retail.World(customers, seed), writing, chunk=chunk)
        return tables(Path(folder))


def pairs(table: pa.Table, value: str, shape: tuple[int, int]) -> np.ndarray:
    """A column as a matrix of customers × products, NaN where there is no row; ids are 0, 1, 2 …"""
    out = np.full(shape, np.nan)
    out[table["customer_id"].to_numpy(), table["product_id"].to_numpy()] = table[value].to_numpy()
    return out
