"""What was offered to whole households, and each customer's turn among the members, as SQL trees.

A household is looked at whole, whichever of its members are asked about. Beside the bank's tables the trees read
``who``, the customers at hand (`nextoffer.features.compile`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp

from nextoffer.features.rows import WHO, offer_made
from nextoffer.features.spec import Readable, covers
from nextoffer.features.trees import Tree, column, days_ago, double, number, relation, the_day
from nextoffer.tables.flow import Asked, Window

KIN = "nextoffer_kin"
MEMBERS, TURN = "household_members", "household_turn"

_ALLOWING, _PLACED, _OFFERED = "nextoffer_kin_allowing", "nextoffer_kin_placed", "nextoffer_kin_offered"


def offers_name(place: int) -> str:
    """Return the column with the offers made to a household in the window at `place`."""
    return f"household_offers_{place}"


def asked_of_households(asked: Asked, there: Readable) -> bool:
    """Return whether there is anything to find out about households."""
    return asked.households and covers(there, "customers", "household_id")


def household_tables(
    asked: Asked, there: Readable, *, allows: Tree, consents: exp.Select | None, collated: bool
) -> Iterator[tuple[str, exp.Select]]:
    """Yield the tables that lead to ``per_households``, by name; each may read those before it.

    ``per_households`` has a row for every customer of ``who`` in a household: ``customer_id``, ``household_members``
    (those who allow marketing, at least 1), ``household_turn`` (1 to members, by rising id) and the offers made in each
    window that is a household's.

    Parameters
    ----------
    asked
        Which windows.
    there
        The bank's columns by table.
    allows
        Whether a customer allows marketing, over the aggregates of `consents`.
    consents
        ``customer_id`` and aggregates of consents of the customers of ``who``; None where everybody counts.
    collated
        Ids are texts and the engine has other orders of texts than by code points.
    """
    yield KIN, _kin()
    yield _ALLOWING, _allowing(allows, consents)
    yield _PLACED, _placed(collated=collated)
    windows = {offers_name(i): w for i, w in enumerate(asked.windows) if w.household}
    counted = covers(there, "responses")
    if counted:
        yield _OFFERED, _offered(windows, there)
    yield "per_households", _per_households(windows, counted=counted)


def _kin() -> exp.Select:
    """Every member of the households of ``who``."""
    theirs = exp.select(column("household_id", "h")).from_(relation("customers", "h"))
    theirs = theirs.join(relation(WHO, "w"), on=column("customer_id", "w").eq(column("customer_id", "h")))
    theirs = theirs.where(exp.not_(column("household_id", "h").is_(exp.null())))
    kin = exp.select(column("customer_id", "c"), column("household_id", "c")).from_(relation("customers", "c"))
    return kin.where(column("household_id", "c").isin(query=theirs))


def _allowing(allows: Tree, consents: exp.Select | None) -> exp.Select:
    """The kin, and 1 for those who allow marketing, else 0."""
    flag = exp.case().when(allows, number(1)).else_(number(0)).as_("allows")
    rows = exp.select(column("customer_id", "k"), column("household_id", "k"), flag).from_(relation(KIN, "k"))
    if consents is None:
        return rows
    theirs = exp.Subquery(this=consents.transform(_of_kin), alias=exp.to_identifier("consents"))
    return rows.join(theirs, on=column("customer_id", "consents").eq(column("customer_id", "k")), join_type="left")


def _of_kin(tree: Tree) -> Tree:
    if isinstance(tree, exp.Table) and tree.name == WHO:
        tree.set("this", exp.to_identifier(KIN))
    return tree


def _placed(*, collated: bool) -> exp.Select:
    """The kin with the number of members, and the turn of each among those who answer alike."""
    household, allows = column("household_id"), column("allows")
    members = exp.Window(this=exp.Sum(this=allows.copy()), partition_by=[household.copy()])
    key: Tree = column("customer_id")
    if collated:
        key = exp.Collate(this=key, expression=exp.to_identifier("C", quoted=True))
    order = exp.Order(expressions=[exp.Ordered(this=key, nulls_first=False)])
    turn = exp.Window(this=exp.RowNumber(), partition_by=[household.copy(), allows.copy()], order=order)
    names = column("customer_id"), household, allows, members.as_("members"), turn.as_("turn")
    return exp.select(*names).from_(relation(_ALLOWING))


def _offered(windows: Mapping[str, Window], there: Readable) -> exp.Select:
    """The offers made to each household in each window."""
    ago, made = days_ago(column("offered_on", "t")), column("offered_on", "t") < the_day()
    rows = exp.select(column("household_id", "k"))
    for name, window in windows.items():
        counts: list[Tree] = [ago.copy() <= window.days - 1]
        if window.channel is not None:
            there_is = covers(there, "responses", "channel")
            counts.append(column("channel", "t").eq(exp.convert(window.channel)) if there_is else exp.false())
        one = exp.case().when(exp.and_(*counts), double(1)).else_(double(0))
        rows = rows.select(exp.Sum(this=one).as_(name))
    same = column("customer_id", "k").eq(column("customer_id", "t"))
    rows = rows.from_(relation("responses", "t")).join(relation(KIN, "k"), on=same)
    rows = rows.where(made, ago.copy() <= max(window.days for window in windows.values()) - 1)
    if covers(there, "responses", "arm"):
        rows = rows.where(offer_made(column("arm", "t")))
    return rows.group_by(column("household_id", "k"))


def _per_households(windows: Mapping[str, Window], *, counted: bool) -> exp.Select:
    members, turn, allows = column("members", "p"), column("turn", "p"), column("allows", "p")
    some = exp.case().when(members > 0, members.copy()).else_(number(1))
    own = exp.case().when(allows.eq(1), turn).else_(number(1))
    rows = exp.select(column("customer_id", "w"), _double(some).as_(MEMBERS), _double(own).as_(TURN))
    for name in windows:
        made = exp.func("COALESCE", column(name, "o"), number(0)) if counted else double(0)
        rows = rows.select(_double(made).as_(name))
    same = column("customer_id", "p").eq(column("customer_id", "w"))
    rows = rows.from_(relation(WHO, "w")).join(relation(_PLACED, "p"), on=same)
    if not counted:
        return rows
    theirs = column("household_id", "o").eq(column("household_id", "p"))
    return rows.join(relation(_OFFERED, "o"), on=theirs, join_type="left")


def _double(value: Tree) -> Tree:
    return exp.cast(value, "double")
