"""What customers would do without an offer: a ranker's log-odds, moved by what offers that were held back have shown.

Offers held back are few, and few of them are taken up all the same, so little is learned and that on top of what the
many offers made have taught::

    log-odds without an offer(c, j) = s + shift + slope · (s − centre) + offset_j + Σ_f effect_f[bin_f(c)]

with s the ranker's log-odds of accepting j when it is offered. `natural_fit` learns which of these parts there are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nextoffer.models.coding import Coding
from nextoffer.models.products import Products
from nextoffer.tables.flow import FeatureTable

FILE = "natural.json"
_Numbers = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Effect:
    """What a customer's feature adds: float32 (bins,)."""

    coding: Coding
    table: _Numbers


@dataclass(frozen=True)
class Natural:
    """The propensity without an offer, given that with one.

    Attributes
    ----------
    shift, slope, centre
        What is added to the log-odds of every pair: ``shift + slope × (log-odds − centre)``; a slope is above -1.
    offsets
        By product id, what is added to that product's; a product that is not named gets 0.
    effects
        What customers' features add.
    summary_
        What was learned from and chosen, in plain values.
    """

    shift: float
    slope: float = 0.0
    centre: float = 0.0
    offsets: Mapping[str, float] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()
    summary_: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reads(self) -> frozenset[str]:
        """The customers' columns that are looked at."""
        return frozenset(e.coding.name for e in self.effects)

    def log_odds(self, offered: _Numbers, features: FeatureTable, products: Products) -> _Numbers:
        """Return the log-odds without an offer, float32 (n, P), given those with one.

        A customer's are the same to the last bit in any batch.
        """
        of_product = np.array([self.offsets.get(p, 0.0) for p in products.ids]) + self.shift - self.slope * self.centre
        out = offered * np.float32(1.0 + self.slope) + of_product.astype(np.float32)
        for effect in self.effects:
            codes = np.empty(len(features), dtype=np.uint16)
            effect.coding.write_codes(features, effect.coding.name, codes)
            out += effect.table[codes][:, None]
        return np.asarray(out, dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write ``natural.json`` into an existing folder."""
        plain = {
            "shift": self.shift,
            "slope": self.slope,
            "centre": self.centre,
            "offsets": dict(self.offsets),
            "effects": [{"coding": e.coding.to_json(), "table": e.table.tolist()} for e in self.effects],
            "summary": self.summary_,
        }
        (folder / FILE).write_text(json.dumps(plain), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Return what `save` wrote; None where there is nothing."""
        path = folder / FILE
        if not path.is_file():
            return None
        plain = json.loads(path.read_text(encoding="utf-8"))
        effects = (
            Effect(Coding.from_json(e["coding"]), np.array(e["table"], dtype=np.float32)) for e in plain["effects"]
        )
        return cls(plain["shift"], plain["slope"], plain["centre"], plain["offsets"], tuple(effects), plain["summary"])

    def summary(self) -> Mapping[str, Any]:
        """Return what was learned from and chosen, in plain values."""
        return self.summary_
