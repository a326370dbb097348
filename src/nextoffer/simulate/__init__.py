"""Banks whose truth is known, in the very same tables, and a simulated A/B played against that truth.

* ``reference.generate`` writes the reference notebook's world at any size and seed.
* ``retail.generate`` writes a richer bank: needs, households, consents, risk, treatment effects, dirty rows on request.
* ``ab.simulate_ab`` plays two strategies against a known truth.

Every draw is keyed by the entity it belongs to, so a world is the same whatever the chunk it is written in.
"""
