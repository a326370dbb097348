"""What retail customers would do with and without an offer: the truth of the retail bank.

``logit p_control = appeal + 0.9 · needs answered + segment, income and home fit + taste``; an offer adds an effect that
differs between customers and is negative for some of them: ``logit p_treated = logit p_control + effect``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from nextoffer.keyed import normal, uniform
from nextoffer.simulate.draws import Floats, named, sigmoid
from nextoffer.simulate.retail import catalogue
from nextoffer.simulate.retail.world import SEGMENTS, STAGES, Customers, World

TASTE = 0.45
OFFER_EFFECT = 2.1
REACHED_BY = np.array([0.25, 0.0, 0.35, -0.2])  # mobile, web, branch, phone
CURIOSITY = 0.5
RATHER_NOT = 0.12  # share of customers whom an offer puts off
PUT_OFF = -0.8


@dataclass(frozen=True)
class Wishes:
    """The truth about n customers and the 24 products.

    Attributes
    ----------
    known
        float64 (n, 24): log-odds of taking the product up without an offer, as far as the bank could know them.
    taste
        float64 (n, 24): what is added to them by nothing that any table shows.
    effect
        float64 (n, 1): what a first offer over the preferred channel adds.
    """

    known: Floats
    taste: Floats
    effect: Floats

    @property
    def control(self) -> Floats:
        """P(taken up within two weeks without an offer), float64 (n, 24)."""
        return sigmoid(self.known + self.taste)

    def treated(self, strength: Floats | float = 1.0) -> Floats:
        """Return P(taken up within two weeks of an offer), float64 (n, 24); `strength`: share of the effect left."""
        return sigmoid(self.known + self.taste + self.effect * strength)


def wishes(world: World, people: Customers) -> Wishes:
    """Return the truth about the given customers."""
    return Wishes(
        known=catalogue.numbers("appeal") + 0.9 * attraction(people) + _fit(people),
        taste=TASTE * normal(world.seed, "taste", people.ids, catalogue.indices()),
        effect=_effect(world, people)[:, None],
    )


def attraction(people: Customers) -> Floats:
    """Return float64 (n, 24): how far each product answers the customer's needs."""
    return catalogue.answered(people.needs, catalogue.products())


def _fit(people: Customers) -> Floats:
    segment = 0.4 * (people.segment[:, None] == catalogue.made_for(SEGMENTS))
    short = -1.2 * (people.income[:, None] < catalogue.numbers("min_income"))
    childless = -3.0 * (people.children == 0)[:, None] * catalogue.of_type("CS")
    tenant = -1.5 * ~people.owner[:, None] * catalogue.of_type("HIL", "HI")
    studying = 1.5 * (people.stage == STAGES.index("student"))[:, None] * catalogue.of_type("EL")
    return np.asarray(segment + short + childless + tenant + studying)


def _effect(world: World, people: Customers) -> Floats:
    own = CURIOSITY * normal(world.seed, "curiosity", people.ids)
    family = 0.25 * (people.stage == STAGES.index("family"))
    rather_not = uniform(world.seed, "rather not", people.ids) < RATHER_NOT
    return np.where(rather_not, PUT_OFF, OFFER_EFFECT + REACHED_BY[people.channel] + family + own)


def truth_table(truth: Wishes, ids: pa.Array) -> pa.Table:
    """Return p_treated, p_control and noiseless_score (log-odds of p_treated but for taste) of every pair."""
    products = catalogue.indices()
    return pa.table(
        {
            "customer_id": ids.take(pa.array(np.repeat(np.arange(len(ids)), len(products)))),
            "product_id": named(np.tile(products, len(ids)), catalogue.texts("product_id")),
            "p_treated": truth.treated().ravel(),
            "p_control": truth.control.ravel(),
            "noiseless_score": (truth.known + truth.effect).ravel(),
        }
    )
