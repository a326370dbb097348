"""Shares scarce capacity (RM hours, call slots, mails, budget) over customers, with what each limit costs.

Offers with a value and limits in, the offers to make out, never over a limit in any order of rows, with a certified
bound on what any plan could reach. Knows no models, rules or files of a bank.
"""
