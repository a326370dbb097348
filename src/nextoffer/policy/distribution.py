"""The whole distribution that a rank is drawn from, of which a decision's pscore is one entry."""

from __future__ import annotations

import numpy as np

from nextoffer.policy import arms
from nextoffer.policy.batch import Batch
from nextoffer.policy.book import Book
from nextoffer.policy.exploration import EXPLORERS
from nextoffer.policy.ordering import Columns
from nextoffer.policy.ranking import candidates, sorted_by, stopped
from nextoffer.tables.flow import Floats


def rank_chances(batch: Batch, book: Book, seed: int, *, before: Columns) -> Floats:
    """Return the probability of each product to get the next rank, given the ranks before and the customer's arm.

    Parameters
    ----------
    before
        int (n, s): the products (columns) of the first s ranks, −1 where there is none; given as (n, 0) for the first.

    Returns
    -------
    float64 (n, P): of each customer with a product left they add up to 1, of the others they are 0.

    Raises
    ------
    PolicyError
        The policy does not fit the bank or the model.
    """
    everybody = np.arange(batch.shape[0])
    arm = arms.dealt(batch, book.policy.arm, book.policy.seed)
    found = candidates(batch, book, everybody, (sorted_by(batch, book, arm, seed), stopped(batch, book)), seed)
    left = (found.cols >= 0) & ~(found.cols[:, :, None] == before[:, None, :]).any(axis=2)
    chance = np.zeros(batch.shape)
    chance[everybody, np.argmax(left, axis=1)] = left.any(axis=1)
    exploration = book.policy.exploration
    if exploration.method != "none" and before.shape[1] < exploration.slots:
        explorer = EXPLORERS[exploration.method](found, exploration)
        chance = np.where(arm[:, None] == 0, explorer.chances(left), chance)
    if arms.RANDOM in book.arms:
        by_chance = arm[:, None] == book.arms.index(arms.RANDOM)
        chance = np.where(by_chance, left / np.maximum(left.sum(axis=1, keepdims=True), 1), chance)
    out = np.zeros(batch.shape)
    rows, places = np.nonzero(left)
    out[rows, found.cols[rows, places]] = chance[rows, places]
    return out
