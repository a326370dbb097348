"""The rows that features aggregate, as SQL trees over the bank's tables.

Each function returns a SELECT of ``customer_id`` and the columns that `spec.ROWS` promises, of the rows that were known
when the day ``as_of`` began. Beside the bank's tables they name three relations: ``who`` (the customers at hand, see
`nextoffer.features.compile`), and

* ``nextoffer_mcc`` (mcc, category): `nextoffer.features.mcc.table`;
* ``nextoffer_wanted`` (customer_id): the customers to restrict to, only where a subset is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from nextoffer.features import mcc
from nextoffer.features.spec import Readable, Source, covers
from nextoffer.features.trees import (
    Tree,
    both,
    column,
    day_of_month,
    days_ago,
    double,
    is_null,
    number,
    one_if,
    relation,
    text,
    the_day,
    when,
)

MARKETING = "marketing"
"""The purpose that offers need a consent to."""

MCC_TABLE = "nextoffer_mcc"
WANTED_TABLE = "nextoffer_wanted"
WHO = "who"

MONEY = frozenset({"amount", "credit", "salary"})
"""Row columns in money, as whole ten-thousandths of the currency: sums of whole numbers are exact up to 2**53 (that is
900 thousand million), so they are the same whatever the order of rows, the number of threads and the engine."""

MONEY_PARTS = 10_000

_CREDIT = ("credit", "cr", "c")
_NEAR_DAYS = 3


@dataclass(frozen=True)
class Scope:
    """What a compiled query is about.

    Attributes
    ----------
    reads
        The bank's columns that may be read, by table.
    used
        The row columns that are aggregated; others need not be computed.
    subset
        Only the customers of ``nextoffer_wanted``.
    there
        The bank's columns, by table, that facts for the rules are made of; also those that features may not read.
    placed
        Rows carry the customer's ``place`` in ``who`` rather than the id, and only rows of those customers are there.
    """

    reads: Readable
    used: frozenset[str]
    subset: bool = False
    there: Readable = field(default_factory=dict)
    placed: bool = False

    @property
    def key(self) -> str:
        """The column that tells whose row it is."""
        return "place" if self.placed else "customer_id"

    @property
    def at_hand(self) -> bool:
        """Whether rows are kept to the customers of ``who``."""
        return self.subset or self.placed


def transactions(scope: Scope) -> exp.Select:
    """Return one row per transaction.

    Of all ``days_ago``, ``channel``, ``mcc`` (category number). Of money spent ``spent`` (1, else 0), ``spent_ago``
    (its days, else null), ``amount`` (else 0), ``salary_day_known`` and ``near_salary_day`` (1 or 0). Of money
    received, where ``direction`` tells the two apart, ``credit`` (else 0) and ``salary`` (near salary day, else null).
    """
    read = (
        exp.select(_key(scope), days_ago(column("date", "t")).as_("days_ago"), _money().as_("money"))
        .from_(relation("transactions", "t"))
        .where(column("date", "t") < the_day())
    )
    read = _with_channel(read, scope)
    read = _with_category(read, scope)
    read = _with_salary_day(read, scope)
    if not tells_credit(scope):
        return _transaction_columns(read, scope, spent=None)
    read = read.select(exp.func("COALESCE", exp.Lower(this=column("direction", "t")), text("")).as_("direction"))
    return _transaction_columns(read, scope, spent=column("direction").isin(*_CREDIT).not_())


def tells_credit(scope: Scope) -> bool:
    """Return whether money received can be told from money spent."""
    return covers(scope.reads, "transactions", "direction")


def _money() -> Tree:
    return exp.func("FLOOR", column("amount", "t") * MONEY_PARTS + exp.Literal.number("0.5"))


def _with_channel(read: exp.Select, scope: Scope) -> exp.Select:
    if "channel" not in scope.used:
        return read
    return read.select(exp.func("COALESCE", column("channel", "t"), text("")).as_("channel"))


def _with_category(read: exp.Select, scope: Scope) -> exp.Select:
    """Add ``mcc``, the category (its number) of the transaction's own code, else of its merchant's, else ``other``."""
    if "mcc" not in scope.used:
        return read
    found: list[Tree] = []
    if covers(scope.reads, "transactions", "mcc"):
        read = read.join(relation(MCC_TABLE, "c"), on=column("mcc", "c").eq(column("mcc", "t")), join_type="left")
        found.append(column("category", "c"))
    if covers(scope.reads, "transactions", "merchant_id") and covers(scope.reads, "merchants", "merchant_id", "mcc"):
        merchants = (
            exp.select(column("merchant_id", "x"), column("category", "y"))
            .from_(relation("merchants", "x"))
            .join(relation(MCC_TABLE, "y"), on=column("mcc", "y").eq(column("mcc", "x")))
        )
        same = column("merchant_id", "m").eq(column("merchant_id", "t"))
        read = read.join(merchants.subquery("m"), on=same, join_type="left")
        found.append(column("category", "m"))
    return read.select(exp.func("COALESCE", *found, number(mcc.number(mcc.OTHER))).as_("mcc"))


def _with_salary_day(read: exp.Select, scope: Scope) -> exp.Select:
    """Add ``day`` of the month and the customer's ``salary_day``, and keep to the customers at hand."""
    salary = _needs_salary_day(scope)
    if salary or scope.at_hand:
        read = read.join(relation(WHO, "w"), on=column("customer_id", "w").eq(column("customer_id", "t")))
    if not salary:
        return read
    day = day_of_month(column("date", "t")).as_("day")
    return read.select(day, column("date", "t"), column("salary_day", "w"))


def _knows_salary_day() -> Tree:
    return exp.func("COALESCE", column("salary_day").between(1, 31), exp.false())


def _near_salary_day() -> Tree:
    """Whether a day is at most 3 days from salary day, also round the month's end; a short month pays on its last.

    The month's length is slow to find and matters only if salary day may be cut off or the way round be shorter.
    """
    gap = exp.func("ABS", column("day") - column("salary_day"))
    length = day_of_month(exp.LastDay(this=column("date")))
    pay_day = exp.case().when(column("salary_day") > length, length).else_(column("salary_day"))
    true_gap = exp.func("ABS", column("day") - pay_day)
    around = exp.or_(true_gap <= _NEAR_DAYS, length - true_gap <= _NEAR_DAYS)
    unsure = exp.or_(column("salary_day") > 28, gap >= 28 - _NEAR_DAYS)
    near = exp.case().when(unsure, around).else_(gap <= _NEAR_DAYS)
    return exp.and_(_knows_salary_day(), near)


def of_salary_day() -> dict[str, Tree]:
    """Return what ``date``, its ``day`` of the month and the customer's ``salary_day`` tell, by name."""
    return {"salary_day_there": _knows_salary_day(), "near": _near_salary_day()}


def _transaction_columns(read: exp.Select, scope: Scope, spent: Tree | None) -> exp.Select:
    """Put the columns together from what a first SELECT tells of each row, flags among it."""
    told = {} if spent is None else {"is_spent": spent}
    told |= of_salary_day() if _needs_salary_day(scope) else {}
    read = exp.select(exp.Star(), *(value.as_(name) for name, value in told.items())).from_(read.subquery("read"))
    near, spent = column("near"), None if spent is None else column("is_spent")
    columns = {
        "days_ago": column("days_ago"),
        "channel": column("channel"),
        "mcc": column("mcc"),
        "spent": double(1) if spent is None else one_if(spent),
        "spent_ago": when(spent, column("days_ago")),
        "amount": column("money") if spent is None else exp.case().when(spent, column("money")).else_(double(0)),
        "salary_day_known": one_if(both(spent, column("salary_day_there"))),
        "near_salary_day": one_if(both(spent, near)),
    }
    if spent is not None:
        columns["credit"] = exp.case().when(spent, double(0)).else_(column("money"))
        columns["salary"] = when(both(spent.not_(), near), column("money"))
    return _select(columns, scope, column(scope.key)).from_(read.subquery("told"))


def _needs_salary_day(scope: Scope) -> bool:
    return bool({"near_salary_day", "salary_day_known", "salary"} & scope.used)


def holdings(scope: Scope) -> exp.Select:
    """Return one row per holding opened before ``as_of``, and with ``held_now`` also those opened on the day.

    ``product_id``; ``held`` (1 if still held, else 0); ``opened`` (1 if it is known when, else 0) and ``opened_ago``;
    ``closed_ago`` if it was closed before ``as_of``, else null: all of them of holdings opened before the day, 0 or
    null for others. ``held_now``: 1 if it was opened and not closed by the end of the day, else 0.
    """
    opened, closed = covers(scope.reads, "holdings", "opened_on"), covers(scope.reads, "holdings", "closed_on")
    opened_on, closed_on = column("opened_on", "t"), column("closed_on", "t")
    before = exp.or_(is_null(opened_on), opened_on < the_day())
    seen = before if opened and "held_now" in scope.used else None
    still = exp.or_(is_null(closed_on), closed_on >= the_day()) if closed else None
    gone = closed_on < the_day()
    columns = {
        "product_id": column("product_id", "t"),
        "held": _one_where(seen, still),
        "opened": _one_where(seen, is_null(opened_on).not_()) if opened else double(0),
        "opened_ago": when(seen, days_ago(opened_on)) if opened else exp.null(),
        "closed_ago": when(both(seen, gone), days_ago(closed_on)) if closed else exp.null(),
        "held_now": _held_now(scope),
    }
    rows = _of_customers(_select(columns, scope, _key(scope)), "holdings", scope)
    if not opened:
        return rows
    return rows.where(before if seen is None else exp.or_(is_null(opened_on), opened_on <= the_day()))


def _held_now(scope: Scope) -> Tree:
    opened, closed = column("opened_on", "t"), column("closed_on", "t")
    by_then = exp.or_(is_null(opened), opened <= the_day()) if covers(scope.there, "holdings", "opened_on") else None
    still = exp.or_(is_null(closed), closed > the_day()) if covers(scope.there, "holdings", "closed_on") else None
    return _one_where(by_then, still)


def _one_where(*conditions: Tree | None) -> Tree:
    """1 where all conditions hold, else 0; without any it is always 1."""
    given = [c for c in conditions if c is not None]
    return one_if(exp.and_(*given)) if given else double(1)


def responses(scope: Scope) -> exp.Select:
    """Return one row per offer made before ``as_of``.

    ``product_id``, ``channel`` (``''`` for none), ``days_ago``, ``offered`` (1); ``accepted`` (1 or 0) before
    ``as_of``, ``accepted_ago`` (or null); ``contacted``: 1, but 0 if the offer was held back for a control arm, and
    ``contacted_ago`` (its days, else null). Of an offer that was made, as it stood when ``as_of`` ended: ``ignored`` (1
    without an answer, else 0) and ``rejected_ago`` (days since the customer said no, else null).
    """
    arm = offer_made(column("arm", "t")) if covers(scope.there, "responses", "arm") else None
    unanswered, rejected_ago = _answers(scope)
    accepted: Tree = column("label", "t").eq(1)
    accepted_on: Tree = column("offered_on", "t")
    if covers(scope.reads, "responses", "responded_on"):
        responded = column("responded_on", "t")
        accepted = exp.and_(accepted, exp.or_(is_null(responded), responded < the_day()))
        accepted_on = exp.func("COALESCE", responded, accepted_on)
    columns = {
        "product_id": column("product_id", "t"),
        "days_ago": days_ago(column("offered_on", "t")),
        "offered": double(1),
        "accepted": one_if(accepted),
        "accepted_ago": when(accepted, days_ago(accepted_on)),
        "channel": _channel(scope, "responses"),
        "contacted": _one_where(arm),
        "contacted_ago": when(arm, days_ago(column("offered_on", "t"))),
        "ignored": _one_where(arm, unanswered),
        "rejected_ago": exp.null() if rejected_ago is None else when(arm, rejected_ago),
    }
    rows = _of_customers(_select(columns, scope, _key(scope)), "responses", scope).where(
        column("offered_on", "t") < the_day()
    )
    return rows.where(offer_made(column("arm", "t"))) if covers(scope.reads, "responses", "arm") else rows


def _answers(scope: Scope) -> tuple[Tree, Tree | None]:
    """Whether an offer had no answer by the end of the day, and how long ago the answer was no."""
    no = column("label", "t").eq(0)
    if not covers(scope.there, "responses", "responded_on"):
        return no, None
    responded = column("responded_on", "t")
    to_come = exp.and_(is_null(responded).not_(), responded > the_day())
    unanswered = exp.or_(exp.and_(no, is_null(responded)), to_come)
    return unanswered, when(exp.and_(no.copy(), responded <= the_day()), days_ago(responded))


def _channel(scope: Scope, table: str) -> Tree:
    """The channel of a row, ``''`` for none."""
    if not covers(scope.there, table, "channel"):
        return text("")
    return exp.func("COALESCE", column("channel", "t"), text(""))


def offer_made(arm: Tree) -> Tree:
    """Return whether a response's offer was made: one of a control arm was held back, and tells of no contact.

    >>> print(offer_made(column("arm")).sql())
    LOWER(COALESCE("arm", '')) <> 'control'
    """
    return exp.Lower(this=exp.func("COALESCE", arm, text(""))).neq(text("control"))


def consents(scope: Scope) -> exp.Select:
    """Return one row per consent or refusal recorded by the end of ``as_of``.

    ``purpose``; ``granted_ago`` and ``refused_ago``: how many days ago it was granted or refused, else null;
    ``channel`` (``''``: it speaks for all channels). Of marketing alone: ``allowed_ago`` and ``denied_ago``; the same
    over the customer's preferred channel alone, ``preferred_allowed_ago`` and ``preferred_denied_ago``; and
    ``standing_ago`` of a consent to a channel that was not refused since. A permission is a rule, not an observation,
    so one withdrawn today counts today.
    """
    granted, ago = column("granted", "t"), days_ago(column("recorded_on", "t"))
    allowed, denied = exp.and_(_of_marketing("t"), granted), exp.and_(_of_marketing("t"), exp.not_(granted))
    preferred = column("preferred", "p").eq(_channel(scope, "consents"))
    stands = exp.or_(is_null(column("denied_on", "d")), column("denied_on", "d") < column("recorded_on", "t"))
    over_one = _channel(scope, "consents").neq(text(""))
    columns = {
        "purpose": column("purpose", "t"),
        "granted_ago": when(granted, ago),
        "refused_ago": when(exp.not_(granted), ago),
        "channel": _channel(scope, "consents"),
        "allowed_ago": when(allowed, ago),
        "denied_ago": when(denied, ago),
        "preferred_allowed_ago": when(exp.and_(preferred, allowed.copy()), ago),
        "preferred_denied_ago": when(exp.and_(preferred.copy(), denied.copy()), ago),
        "standing_ago": when(exp.and_(allowed.copy(), over_one, stands), ago),
    }
    rows = _of_customers(_select(columns, scope, _key(scope)), "consents", scope)
    if scope.used & {"preferred_allowed_ago", "preferred_denied_ago"}:
        rows = rows.join(_preferences(), on=_same_customer("p"), join_type="left")
    if "standing_ago" in scope.used:
        same = exp.and_(_same_customer("d"), column("channel", "d").eq(column("channel", "t")))
        rows = rows.join(_denials(), on=same, join_type="left")
    return rows.where(column("recorded_on", "t") <= the_day())


def _of_marketing(table: str) -> Tree:
    return column("purpose", table).eq(text(MARKETING))


def _same_customer(table: str) -> Tree:
    return column("customer_id", table).eq(column("customer_id", "t"))


def _preferences() -> Tree:
    """The channel each customer prefers."""
    names = column("customer_id", "c"), column("channel_pref", "c").as_("preferred")
    return exp.select(*names).from_(relation("customers", "c")).subquery("p")


def _denials() -> Tree:
    """When each customer last refused marketing over each channel."""
    day, channel = column("recorded_on", "u"), column("channel", "u")
    kept = day <= the_day(), _of_marketing("u"), exp.not_(column("granted", "u")), channel.neq(text(""))
    last = exp.select(column("customer_id", "u"), channel.copy(), exp.Max(this=day.copy()).as_("denied_on"))
    last = last.from_(relation("consents", "u")).where(*kept)
    return last.group_by(column("customer_id", "u"), channel.copy()).subquery("d")


def _key(scope: Scope) -> Tree:
    return column(scope.key, "w" if scope.placed else "t")


def _select(columns: Mapping[str, Tree], scope: Scope, key: Tree) -> exp.Select:
    return exp.select(key, *(value.as_(name) for name, value in columns.items() if name in scope.used))


def _of_customers(rows: exp.Select, table: str, scope: Scope) -> exp.Select:
    rows = rows.from_(relation(table, "t"))
    if not scope.at_hand:
        return rows
    return rows.join(relation(WHO, "w"), on=column("customer_id", "w").eq(column("customer_id", "t")))


def always_one(scope: Scope) -> frozenset[str]:
    """Return the summed columns that are 1 in every row, so that nothing need be multiplied by them."""
    counted = {"offered"}
    counted |= set() if tells_credit(scope) else {"spent"}
    later = "held_now" in scope.used and covers(scope.reads, "holdings", "opened_on")
    counted |= set() if later or covers(scope.reads, "holdings", "closed_on") else {"held"}
    return frozenset(counted)


SOURCES: Mapping[Source, Callable[[Scope], exp.Select]] = {
    "transactions": transactions,
    "holdings": holdings,
    "responses": responses,
    "consents": consents,
}
"""The rows of each kind."""
