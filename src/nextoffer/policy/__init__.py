"""Scores → decisions: who may get what, in which order and for which true reasons, and which not and why not.

Pure in (scores, facts, features, products, policy, seed): the same customer gets the same answer in any batch.
"""
