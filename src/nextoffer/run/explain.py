"""Why a customer is offered a product, why not, and what would have to change."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from nextoffer.errors import FeatureError, did_you_mean
from nextoffer.policy.batch import Batch, Pairs
from nextoffer.policy.priority import Priority
from nextoffer.policy.ranking import OFFERED, Ranking
from nextoffer.policy.reasons import explain_low_rank, reasons_for
from nextoffer.policy.rule import stage_of
from nextoffer.policy.stats import pair_label
from nextoffer.policy.why_not import why_not
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import ids_as_text

if TYPE_CHECKING:
    from nextoffer.run.engine import Engine


@dataclass(frozen=True)
class Explanation:
    """One customer and one product.

    Attributes
    ----------
    product_id, name
        The product.
    rank, stage, rule
        Its rank where it is offered, else the stage and rule that stopped it.
    propensity, uplift
        P(accept), and how much of it the offer adds; None where the model does not say.
    value, cost, expected_value
        What an acceptance earns, the offer costs, and the offer earns on average; None where not known.
    context_weight, lever
        The weights of the policy.
    score, arm
        What the offers are sorted by, and the customer's arm.
    reasons, against
        What speaks for the offer, and what against, strongest first; all true and material.
    changes
        What would have to change for it to be offered.
    contributions
        (label, log-odds) of each feature against the average customer for the product, largest first.
    """

    product_id: Any
    name: str
    rank: int | None
    stage: str | None
    rule: str | None
    propensity: float
    uplift: float | None
    value: float | None
    cost: float
    expected_value: float | None
    context_weight: float
    lever: float
    score: float | None
    arm: str
    reasons: tuple[str, ...]
    against: tuple[str, ...]
    changes: tuple[str, ...]
    contributions: tuple[tuple[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def explained(
    engine: Engine, bank: Bank, customer: Any, *, product: Any = None, as_of: date | None = None
) -> list[Explanation]:
    """Return one explanation per product, offers first by rank, then the others by propensity; or only `product`'s.

    Raises
    ------
    FeatureError
        There is no such customer or product.
    """
    who = pa.array([_typed(customer, bank.id_type("customer_id"))])
    desk = engine.desk(bank.table("products"), as_of)
    batch = desk.batch(engine.known(bank, who, as_of=as_of))
    ranking = desk.decider.ranked(batch)
    columns = range(batch.shape[1]) if product is None else [_column(batch, str(product))]
    found = [_one(engine, batch, ranking, col) for col in columns]
    return sorted(found, key=lambda e: (e.rank is None, e.rank or 0, -e.propensity))


def _one(engine: Engine, batch: Batch, ranking: Ranking, col: int) -> Explanation:
    pairs = Pairs(batch, np.zeros(1, dtype=np.intp), np.array([col], dtype=np.intp))
    limits = engine.policy.reasons
    rule = int(ranking.rule[0, col])
    offered = rule == OFFERED
    return Explanation(
        product_id=batch.products.column("product_id")[col].as_py(),
        name=batch.product_names[col],
        rank=int(np.flatnonzero(ranking.cols == col)[0]) + 1 if offered else None,
        stage=None if offered else stage_of(ranking.book.names[rule]),
        rule=None if offered else ranking.book.names[rule],
        propensity=float(ranking.propensity[0, col]),
        **_worth(batch, ranking, pairs),
        reasons=tuple(reasons_for(pairs, engine.catalogue, limits=limits).texts[0].as_py()),
        against=tuple(explain_low_rank(pairs, engine.catalogue, limits=limits).texts[0].as_py()),
        changes=tuple(why_not(batch, 0, col, book=ranking.book, seed=engine.policy.seed)),
        contributions=_contributions(batch, pairs),
    )


def _worth(batch: Batch, ranking: Ranking, pairs: Pairs) -> dict[str, Any]:
    """What the priority of one pair is made of, None where not known."""
    priority = Priority.of(batch, ranking.book.terms).pairs(pairs.rows, pairs.cols)
    names = ("uplift", "value", "cost", "expected_value", "context_weight", "lever")
    numbers = {name: float(getattr(priority, name)[0]) for name in names}
    numbers["score"] = float(ranking.score[pairs.rows, pairs.cols][0])
    known = {name: None if np.isnan(number) else number for name, number in numbers.items()}
    return {**known, "arm": ranking.book.arms[ranking.arm[0]]}


def _contributions(batch: Batch, pairs: Pairs) -> tuple[tuple[str, float], ...]:
    scores = batch.scores
    relative = scores.contributions(pairs.rows, pairs.cols)[0] - scores.average[pairs.cols[0]]
    labels = {c.name: c.label for c in batch.features.columns}
    named = [
        (labels.get(name) or pair_label(name.removeprefix("pair.")), round(float(value), 6))
        for name, value in zip(scores.features, relative, strict=True)
        if value != 0.0
    ]
    return tuple(sorted(named, key=lambda n: -abs(n[1])))


def _column(batch: Batch, product: str) -> int:
    ids = ids_as_text(batch.products.column("product_id"))
    if product not in ids:
        raise FeatureError(f"no product '{product}'{did_you_mean(product, ids)}; there are {', '.join(ids)}")
    return ids.index(product)


def _typed(value: Any, kind: pa.DataType) -> Any:
    """An id as the bank has it: given as text on the command line, it may be a number in the bank."""
    if not pa.types.is_integer(kind):
        return str(value)
    try:
        return int(value)
    except ValueError as error:
        raise FeatureError(f"no customer '{value}': this bank's customer ids are whole numbers") from error
