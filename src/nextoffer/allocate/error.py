"""The one error of this room."""

from __future__ import annotations

from nextoffer.errors import NextOfferError


class AllocationError(NextOfferError):
    """Limits are wrong, do not fit the offers, or cannot all be met."""
