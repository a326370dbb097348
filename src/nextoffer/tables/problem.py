"""One thing that is wrong with a bank's tables."""

from __future__ import annotations

from dataclasses import dataclass

from nextoffer.tables.contract import Severity


@dataclass(frozen=True)
class Problem:
    """What is wrong, where, how often, and what becomes of it.

    Attributes
    ----------
    table, column
        Where; `column` is None where the whole table is meant.
    rule
        The check that found it, in one word.
    count
        How many rows are meant; 1 where it is not about rows.
    examples
        A few of them, as text.
    severity
        ``fatal`` the bank cannot be used, ``reject`` the rows are set aside, ``warn`` nothing is lost.
    message
        What is wrong, in words that follow table and column.
    """

    table: str
    column: str | None
    rule: str
    count: int
    examples: tuple[str, ...]
    severity: Severity
    message: str

    @property
    def where(self) -> str:
        """Table and column, as ``table.column``."""
        return self.table if self.column is None else f"{self.table}.{self.column}"

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def fatal(table: str, column: str | None, rule: str, message: str) -> Problem:
    """Return a problem of structure with which the bank cannot be used.

    >>> str(fatal("products", "product_id", "missing_column", "is required, but there is none"))
    'products.product_id: is required, but there is none'
    """
    return Problem(table, column, rule, 1, (), "fatal", message)


def warning(table: str, column: str | None, rule: str, message: str) -> Problem:
    """Return a remark on the structure with which nothing is lost."""
    return Problem(table, column, rule, 1, (), "warn", message)
