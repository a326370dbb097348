"""NextOffer: the next-best-offer engine for banks."""

__version__ = "0.1.0"
