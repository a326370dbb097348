"""Learns from responses and gives each customer–product pair a score with its exact parts.

Knows no rules, ranks or channels. Every ranker obeys `nextoffer.models.ranker.Ranker`.
"""
