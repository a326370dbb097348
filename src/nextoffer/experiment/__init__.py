"""A/B tests: planned, assigned and read from sufficient statistics.

Imports the bank's tables and leaves only. Pages are put together in `nextoffer.run`.
"""
