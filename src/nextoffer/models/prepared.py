"""What champion and challenger both start from: training matrix, folds and cross-fitted response affinity."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from weakref import WeakKeyDictionary

from nextoffer.models.design import Design
from nextoffer.models.offset import Offset, choose_offset
from nextoffer.models.training import Training
from nextoffer.tables.flow import Indices

_Settings = tuple[int, int, int]
_ONE_AT_A_TIME = Lock()
_KEPT: WeakKeyDictionary[Training, dict[_Settings, Prepared]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Prepared:
    """A training set made ready: `folds` (m,) number the fold of each pair's customer."""

    design: Design
    folds: Indices
    offset: Offset


def prepare(training: Training, *, folds: int, seed: int, max_rank: int) -> Prepared:
    """Return the training set made ready; asked again for the same one, the same answer without the work."""
    settings = (folds, seed, max_rank)
    with _ONE_AT_A_TIME:
        kept = _KEPT.setdefault(training, {})
        if settings not in kept:
            design, numbers = Design.of(training), training.folds(folds, seed)
            kept[settings] = Prepared(design, numbers, choose_offset(design, training, numbers, max_rank=max_rank))
        return kept[settings]
