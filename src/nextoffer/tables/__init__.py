"""The bank's tables: read, named and checked. Past this door each column has one spelling and one type."""
