"""Evaluate: decisions and scores against responses. Sees tables and arrays, never a model's inside."""
