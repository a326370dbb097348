"""Whether a bank has all that the features of a spec are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nextoffer.errors import FeatureError, did_you_mean
from nextoffer.features.spec import Attribute, Feature, FeatureSpec, Reads
from nextoffer.tables.bank import Bank
from nextoffer.tables.contract import Kind as TableKind
from nextoffer.tables.flow import Kind

_KINDS: Mapping[TableKind, Kind] = {"number": "number", "text": "category", "flag": "flag"}


def check(spec: FeatureSpec, bank: Bank) -> None:
    """Raise with everything that the bank lacks.

    Raises
    ------
    FeatureError
        A table or column is missing, or holds something else than when the spec was made.
    """
    problems = [line for reads in spec.reads for line in _lacks(reads, bank)]
    problems += [line for feature in spec.features for line in _misfits(feature, bank)]
    if problems:
        raise FeatureError(problems)


def _lacks(reads: Reads, bank: Bank) -> Iterator[str]:
    if not bank.has(reads.table):
        yield f"the features need the table '{reads.table}', which this bank does not have"
        return
    there = bank.columns(reads.table)
    for name in reads.columns:
        if name not in there:
            found = did_you_mean(name, there)
            yield f"the features need {reads.table}.{name}, which this bank does not have{found}"


def _misfits(feature: Feature, bank: Bank) -> Iterator[str]:
    match feature.formula:
        case Attribute(table, name) if bank.has(table):
            found = bank.columns(table).get(name)
            if found is not None and _KINDS.get(found) != feature.column.kind:
                yield f"{table}.{name} holds a {found}, but the features need a {feature.column.kind}"
