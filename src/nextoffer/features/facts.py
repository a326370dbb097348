"""What the rules need to know of customers and products on the day: held now, marketing consent, earlier offers.

Features know what was known when the day began; rules also know what happened today. So a product opened today is held
and a consent withdrawn today is withdrawn, while offers of today (which are being decided) are not yet contacts.
"""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.features.ids import as_ids, one_array
from nextoffer.features.known import facts_of
from nextoffer.features.plan import Plan
from nextoffer.features.query import Query
from nextoffer.features.spec import FeatureSpec, Reads
from nextoffer.features.wide import split
from nextoffer.keyed import Ids
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Asked, RuleFacts

_NO_FEATURES = FeatureSpec((), (Reads("customers", ("customer_id",)),))


def rule_facts(bank: Bank, as_of: date, customers: Ids, products: Ids, *, asked: Asked) -> RuleFacts:
    """Return what the rules need to know of n customers and P products.

    Parameters
    ----------
    bank
        Whose tables.
    as_of
        The day of decision.
    customers, products
        n and P ids, in the order of the answer's rows and columns. An id that the bank does not know holds nothing and
        has no consent.
    asked
        What the policy asks beside who holds what.

    Raises
    ------
    FeatureError
        Ids are of another type than the bank's.
    """
    ids = as_ids(bank, "customer_id", customers)
    facts = facts_of(bank, products, asked)
    query = Query(Plan(_NO_FEATURES, facts), bank, as_of)
    rows = query.found(pc.unique(ids).sort(), subset=True)
    places = pc.fill_null(pc.index_in(ids, one_array(rows.column(0))), len(rows))
    everybody = pa.concat_tables([rows, _nobody(query.schema)]).take(places)
    return split(everybody, _NO_FEATURES, len(facts.products), asked, as_of).facts


def _nobody(schema: pa.Schema) -> pa.Table:
    """One row: of a customer without a name, who lives alone, holds nothing, allows nothing and was offered nothing."""
    values = [None, *(_of_nobody(field) for field in list(schema)[1:])]
    return pa.table([pa.array([v], kind) for v, kind in zip(values, schema.types, strict=True)], schema=schema)


def _of_nobody(field: pa.Field) -> object:
    alone = field.name.startswith(("nextoffer_members", "nextoffer_turn"))
    return None if pa.types.is_floating(field.type) else pa.scalar(int(alone)).cast(field.type)
