"""Turns a fitted affinity and boosted terms into one `Scorecard`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nextoffer.models.boosting import Term
from nextoffer.models.coding import Coding
from nextoffer.models.design import Design
from nextoffer.models.offset import Offset
from nextoffer.models.scorecard import PAIR, Cross, Scorecard
from nextoffer.tables.flow import Floats


def assemble(design: Design, offset: Offset, terms: Sequence[Term], multipliers: Floats) -> Scorecard:
    """Return the scorecard of ``base + multiplier_0 × affinity + Σ multiplier_t × term_t + constant``.

    `multipliers` holds the affinity's, then one per term, then the constant. Interactions with the product become
    columns of their feature's table, so a table has one column per product. Features without any effect are left out.
    """
    products = design.columns[design.product].bins - 1
    intercept = offset.affinity.base + multipliers[-1]
    tables = [np.zeros((c.bins, products)) for c in design.columns[: design.product]]
    for i, part in enumerate(design.attributes.per_feature(offset.affinity.weights)):
        tables[i] += multipliers[0] * part
    crosses: list[Cross] = []
    for term, multiplier in zip(terms, multipliers[1:-1], strict=True):
        if multiplier == 0.0:
            continue
        scaled = multiplier * term.table
        others = tuple(a for a in term.axes if a != design.product)
        if design.product in term.axes:
            scaled = np.moveaxis(scaled, term.axes.index(design.product), -1)[..., 1:]
        else:
            scaled = np.broadcast_to(scaled[..., None], (*scaled.shape, products))
        if not others:
            intercept = intercept + scaled
        elif len(others) == 1:
            tables[others[0]] += scaled
        else:
            crosses.append(Cross(_name(design, others[0]), _name(design, others[1]), scaled.astype(np.float32)))
    crossed = {name for c in crosses for name in (c.a, c.b)}
    kept = [i for i, t in enumerate(tables) if np.any(t) or _name(design, i) in crossed]
    customer = [i for i in kept if i < design.customers]
    pair = [i for i in kept if i >= design.customers]
    return Scorecard(
        _codings(design, customer),
        tuple(tables[i].astype(np.float32) for i in customer),
        _codings(design, pair),
        tuple(tables[i].astype(np.float32) for i in pair),
        tuple(crosses),
        intercept.astype(np.float32),
        np.zeros((products, len(kept)), dtype=np.float32),
    )


def _codings(design: Design, columns: Sequence[int]) -> tuple[Coding, ...]:
    return tuple(design.columns[i] for i in columns)


def _name(design: Design, column: int) -> str:
    name = design.columns[column].name
    return name if column < design.customers else PAIR + name
