"""What a customer may be told of an offer: customer wordings of its reasons, and nothing else.

A wording may hold the product's name and no other value, so no number or fact of a customer's data can get into it. A
reason without such a wording is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class CustomerWordings:
    """The texts that may be told to customers.

    Parameters
    ----------
    templates
        Reason code → text for the customer, in which ``{product_name}`` may stand. Texts that name anything else are
        never told.

    >>> words = CustomerWordings({"fit": "{product_name} suits you", "rich": "You earn {income}"})
    >>> words.of(["rich", "high:income", "fit"], "Gold Card")
    ['Gold Card suits you']
    """

    def __init__(self, templates: Mapping[str, str]) -> None:
        self._templates = {
            code: text for code, text in templates.items() if set(PLACEHOLDER.findall(text)) <= {"product_name"}
        }

    def of(self, codes: Iterable[str], product_name: str) -> list[str]:
        """Return what may be told of an offer with these reasons, each text once."""
        texts = (self._templates[code] for code in codes if code in self._templates)
        return list(dict.fromkeys(text.replace("{product_name}", product_name) for text in texts))
