"""Hands offers over as files: RM lead lists, dialer files, in-app banners, CRM imports, an interaction history.

Knows no models and no rules. What a customer may read holds customer wordings only: see `nextoffer.deliver.wording`.
"""
