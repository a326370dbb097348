"""Features: the bank's tables as they stood on a date, turned into one row per customer.

`discover` fixes which features there are, `build` and `stream` compute them, `known` and `stream_known` also what the
rules need to know; `known_sql` and `as_known` have another engine compute both.
"""

from nextoffer.features.build import build, stream
from nextoffer.features.compile import profiling_sql
from nextoffer.features.discover import discover
from nextoffer.features.facts import rule_facts
from nextoffer.features.ids import customer_ids
from nextoffer.features.known import columns_of, known, known_sql, stream_known
from nextoffer.features.spec import FeatureSpec
from nextoffer.features.wide import as_known

__all__ = [
    "FeatureSpec",
    "as_known",
    "build",
    "columns_of",
    "customer_ids",
    "discover",
    "known",
    "known_sql",
    "profiling_sql",
    "rule_facts",
    "stream",
    "stream_known",
]
