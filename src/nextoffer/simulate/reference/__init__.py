"""The reference notebook's world, at any size and seed.

``generate`` writes customers, products, merchants, transactions, holdings and responses as a bank folder, plus
``truth`` (every pair's scores) and ``evaluation`` (every eligible pair's label in the last two campaigns, with two
baseline scores). The recipe is the notebook's, step by step; the draws are keyed by customer, so a world may be written
in chunks of any size.
"""

from nextoffer.simulate.reference.truth import Truth
from nextoffer.simulate.reference.world import World
from nextoffer.simulate.reference.write import generate, write

__all__ = ["Truth", "World", "generate", "write"]
