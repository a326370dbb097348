"""The reasons for an offer: those that mattered to this score and are true of this customer.

A reason is given only if the summed contribution of the features it speaks for, less the average customer's for the
same product, is positive and material, and its fact holds in the customer's data. Each feature is spoken for once: by
the first such reason in the catalogue. Reasons against an offer mirror this, and only explain a low rank. An offer
without a true material reason has none.

Everything is computed pair by pair and feature by feature in a fixed order, so a pair has the same reasons in any
batch; reasons are the outer loop, never customers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from nextoffer.policy.batch import Pairs
from nextoffer.policy.catalogue import Audience, Catalogue, Side
from nextoffer.policy.choosing import chosen
from nextoffer.policy.file import ReasonLimits
from nextoffer.policy.told import Told, told
from nextoffer.policy.wording import worded


@dataclass(frozen=True)
class Reasons:
    """Reasons of m pairs, most important first.

    Attributes
    ----------
    texts, codes
        Arrow lists of strings, m of each, of equal lengths; each distinct string is kept once.
    """

    texts: pa.ListArray
    codes: pa.ListArray


def reasons_for(
    pairs: Pairs,
    catalogue: Catalogue,
    *,
    limits: ReasonLimits | None = None,
    side: Side = "for",
    audience: Audience = "rm",
) -> Reasons:
    """Return what speaks for (or against) each of m customer–product pairs.

    Parameters
    ----------
    pairs
        m pairs of a batch.
    catalogue
        Reasons in order of precedence, with the yardstick of what is low, typical and high.
    limits
        How many reasons, and how much each must matter; the reference's if not given.
    side, audience
        Which reasons, in whose words.

    Raises
    ------
    PolicyError
        A reason of the bank's own does not fit the bank's columns.
    """
    return reasons_told(pairs, told(catalogue, pairs.batch, side, audience), limits or ReasonLimits())


def reasons_told(pairs: Pairs, given: Told, limits: ReasonLimits) -> Reasons:
    """Return which of the reasons given speak for (or against) each of m pairs, in words."""
    places = chosen(pairs, given, limits)
    told = places >= 0
    counts = np.count_nonzero(told, axis=1)
    speaker = places[told]
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    place, texts = worded(given, pairs, np.repeat(np.arange(len(pairs)), counts), speaker)
    return Reasons(
        pa.ListArray.from_arrays(offsets, pa.DictionaryArray.from_arrays(place, texts, safe=False)),
        pa.ListArray.from_arrays(offsets, pa.DictionaryArray.from_arrays(speaker, given.codes, safe=False)),
    )


def explain_low_rank(
    pairs: Pairs, catalogue: Catalogue, *, limits: ReasonLimits | None = None, audience: Audience = "rm"
) -> Reasons:
    """Return what speaks against each of m pairs: why they rank low, not why they are refused."""
    return reasons_for(pairs, catalogue, limits=limits, side="against", audience=audience)
