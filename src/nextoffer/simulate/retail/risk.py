"""How risky it is to lend to retail customers, and who must be treated with care."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from nextoffer.keyed import normal, uniform
from nextoffer.simulate.draws import sigmoid
from nextoffer.simulate.retail.catalogue import NEEDS
from nextoffer.simulate.retail.world import Customers, World, income_level


def risk_table(world: World, people: Customers, ids: pa.Array) -> pa.Table:
    """Return the 12-month probability of default, who is behind with payments, and who is vulnerable."""
    s = world.seed
    must_borrow = people.needs[:, NEEDS.index("borrowing")]
    own = 0.6 * normal(s, "risk", people.ids)
    pd = sigmoid(-4.0 - 0.6 * income_level(people.income) + 0.5 * must_borrow + own)
    return pa.table(
        {
            "customer_id": ids,
            "pd": pd,
            "delinquent": uniform(s, "delinquent", people.ids) < np.minimum(pd, 0.5),
            "vulnerable": uniform(s, "vulnerable", people.ids) < np.where(people.age >= 75, 0.12, 0.02),
        }
    )
