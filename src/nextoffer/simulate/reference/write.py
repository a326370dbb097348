"""Writes a reference world to a folder, chunk after chunk."""

from __future__ import annotations

from itertools import count
from math import ceil
from pathlib import Path

from nextoffer.simulate.draws import Whole
from nextoffer.simulate.folder import Progress, TableFolder, new_folder, silent
from nextoffer.simulate.reference import rows
from nextoffer.simulate.reference.truth import Truth
from nextoffer.simulate.reference.world import World


def generate(
    folder: str | Path,
    *,
    customers: int = 1200,
    products: int = 12,
    seed: int = 7,
    force: bool = False,
    progress: Progress = silent,
) -> Path:
    """Write a reference world and return its folder.

    Parameters
    ----------
    folder
        Where the tables go; it appears only when all are written.
    customers, products, seed
        See `World`. The defaults are the size of the reference notebook, not its very rows: it draws in order.
    force
        Replace a folder that is not empty.
    progress
        Called with (steps done, all steps).

    Raises
    ------
    BankError
        Fewer than two customers or products, or the folder is not empty.
    """
    return write(World(customers, products, seed), folder, force=force, progress=progress)


def write(
    world: World, folder: str | Path, *, chunk: int = 65_536, force: bool = False, progress: Progress = silent
) -> Path:
    """Write a world and return its folder; `chunk` customers are in memory at a time, which changes nothing else."""
    steps = count(1)
    total = 3 * ceil(world.customers / chunk)

    def report() -> None:
        progress(next(steps), total)

    with new_folder(folder, force=force) as tables:
        tables.add("products", rows.products_table(world))
        tables.add("merchants", rows.merchants_table(world))
        truth, tally = Truth.of(world, chunk=chunk, report=report), rows.Tally.empty(world)
        for ids in world.chunks(chunk):
            _write_chunk(tables, truth, ids, tally)
            report()
        for ids in world.chunks(
            chunk
        ):  # popularity needs all training campaigns, so labels come in a pass of their own
            tables.add("evaluation", rows.evaluation_table(truth, world.people(ids), tally))
            report()
    return Path(folder)


def _write_chunk(tables: TableFolder, truth: Truth, ids: Whole, tally: rows.Tally) -> None:
    world = truth.world
    (
        people,
        made,
    ) = world.people(ids), world.purchases(ids)
    campaigns = truth.campaigns(people)
    tally.add(ids, campaigns, (made.owner, world.merchant_category[made.merchant]))
    tables.add("customers", rows.customers_table(people))
    tables.add("transactions", rows.transactions_table(world, people, made))
    tables.add("holdings", rows.holdings_table(world, ids))
    tables.add("responses", rows.responses_table(ids, campaigns))
    tables.add("truth", rows.truth_table(truth, ids))
