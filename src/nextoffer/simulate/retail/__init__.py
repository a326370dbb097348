"""A richer bank with known truth: households, life stages, needs, salaries, consents, risk and campaigns.

``generate`` writes all eight tables of the contract with text ids, a ``bank.toml``, and ``truth``: for every pair the
probability of taking the product up with an offer and without. On request it adds bad rows of every kind and says in
``dirty.json`` how many.
"""

from nextoffer.simulate.retail.world import World
from nextoffer.simulate.retail.write import generate, write

__all__ = ["World", "generate", "write"]
