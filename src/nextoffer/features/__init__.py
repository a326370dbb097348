"""Features: the bank's tables as they stood on a date, turned into one row per customer.

`discover` fixes which features there are, `build` and `stream` compute them, `rule_facts` tells what the rules need to
know.
"""

from nextoffer.features.build import build, stream
from nextoffer.features.discover import discover
from nextoffer.features.facts import rule_facts
from nextoffer.features.spec import FeatureSpec

__all__ = ["FeatureSpec", "build", "discover", "rule_facts", "stream"]
