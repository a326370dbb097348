"""Every error NextOffer raises on purpose, drawn as one tree.

    NextOfferError
    ├── BankError       the bank's tables cannot be used      exit code 2
    ├── FeatureError    features cannot be built              exit code 2
    ├── PolicyError     a policy or reason file is wrong      exit code 2
    ├── ModelError      a model cannot be fitted or used      exit code 2
    ├── AllocationError limits are wrong or cannot all be met exit code 2
    ├── DeliveryError   offers cannot be handed over          exit code 2
    ├── ExperimentError a test cannot be planned or read      exit code 2
    └── ArtefactError   a saved model is damaged or foreign   exit code 3

A message says what was found, what was needed and what there is; checks collect every problem before they raise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class NextOfferError(Exception):
    """Something the caller can mend.

    Parameters
    ----------
    problems
        One message, or all that were found.
    """

    exit_code = 2

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class BankError(NextOfferError):
    """The bank's tables break the contract in a way that cannot be lived with."""


class FeatureError(NextOfferError):
    """Features cannot be built from this bank."""


class PolicyError(NextOfferError):
    """A policy file, reason catalogue or rule is wrong."""


class ModelError(NextOfferError):
    """A model cannot be fitted or cannot score this input."""


class AllocationError(NextOfferError):
    """Limits are wrong, do not fit the offers, or cannot all be met."""


class DeliveryError(NextOfferError):
    """Offers cannot be handed over as asked, or a file of templates is wrong."""


class ExperimentError(NextOfferError):
    """A file of an experiment is wrong, or does not fit its customers."""


class ArtefactError(NextOfferError):
    """A saved model is damaged, incomplete or of another version."""

    exit_code = 3


def did_you_mean(found: str, available: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest of `available`, or an empty string.

    >>> did_you_mean("custmer_id", ["customer_id", "age"])
    " (did you mean 'customer_id'?)"
    >>> did_you_mean("zzz", ["customer_id"])
    ''
    """
    near = get_close_matches(found, list(available), n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""
