"""Writes a retail bank to a folder, chunk after chunk."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np

from nextoffer.simulate.draws import Whole
from nextoffer.simulate.folder import Progress, TableFolder, new_folder, silent
from nextoffer.simulate.retail.books import books_before, holdings_table
from nextoffer.simulate.retail.campaigns import FIRST, Season, responses_table
from nextoffer.simulate.retail.catalogue import products_table
from nextoffer.simulate.retail.consents import consents_table
from nextoffer.simulate.retail.dirt import Dirt
from nextoffer.simulate.retail.risk import risk_table
from nextoffer.simulate.retail.spending import merchants_table, transactions_table
from nextoffer.simulate.retail.wishes import attraction, truth_table, wishes
from nextoffer.simulate.retail.world import World, customers_table

BANK_TOML = """\
name = "Simulated retail bank"
currency = "EUR"
sensitive = ["gender"]
"""


def generate(
    folder: str | Path,
    *,
    customers: int = 10_000,
    seed: int = 7,
    dirty: bool = False,
    force: bool = False,
    progress: Progress = silent,
) -> Path:
    """Write a retail bank and return its folder.

    Parameters
    ----------
    folder
        Where the tables go; it appears only when all are written.
    customers, seed
        See `World`.
    dirty
        Add bad rows of every kind; ``dirty.json`` counts them by table and rule.
    force
        Replace a folder that is not empty.
    progress
        Called with (steps done, all steps).

    Raises
    ------
    BankError
        Fewer than two customers, or the folder is not empty.
    """
    dirt = Dirt(seed) if dirty else None
    with new_folder(folder, force=force) as tables:
        write(World(customers, seed), tables, dirt=dirt, progress=progress)
    return Path(folder)


def write(
    world: World, tables: TableFolder, *, chunk: int = 16_384, dirt: Dirt | None = None, progress: Progress = silent
) -> None:
    """Write a world's tables; `chunk` customers are in memory at a time, which changes nothing else."""
    total = ceil(world.customers / chunk)
    tables.add("products", products_table())
    tables.add("merchants", merchants_table())
    tables.text("bank.toml", BANK_TOML)
    for done, ids in enumerate(world.chunks(chunk), start=1):
        _write_chunk(world, tables, ids, dirt)
        progress(done, total)
    if dirt is not None:
        tables.json("dirty.json", dirt.report())


def _write_chunk(world: World, tables: TableFolder, ids: Whole, dirt: Dirt | None) -> None:
    people, text_ids = world.people(ids), world.text_ids(ids)
    truth = wishes(world, people)
    books = books_before(world, people, attraction(people), days_back=FIRST)
    season = Season(world, people, truth, books, np.zeros((len(ids), 1)))
    responses, asked = responses_table(text_ids, list(season.play()))
    holdings, holders = holdings_table(world, people, season.books, text_ids)
    consents, asked_once = consents_table(world, people, text_ids)
    keyed = {
        "customers": (customers_table(world, people, text_ids), ids),
        "transactions": transactions_table(world, people, text_ids),
        "holdings": (holdings, ids[holders]),
        "responses": (responses, ids[asked]),
        "consents": (consents, ids[asked_once]),
        "risk": (risk_table(world, people, text_ids), ids),
    }
    for table, (good, keys) in keyed.items():
        tables.add(table, good if dirt is None else dirt.soiled(table, good, keys))
    tables.add("truth", truth_table(truth, text_ids))
