"""What a customer allows, out of how many days ago each thing was said: as formulas over aggregates of consents.

The last word counts; of a consent and a refusal on one day, the refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sqlglot import exp

from nextoffer.features.spec import Aggregate
from nextoffer.features.trees import Tree, is_null

Days = Callable[[Aggregate], Tree]
"""Returns how many days ago something was said, null if never."""

EVERY_CHANNEL = ""
"""The channel of a record that speaks for all channels."""

STANDING = Aggregate("consents", "min", "standing_ago")
"""A consent to some channel that was not refused since."""


def words(channel: str | None = None) -> tuple[Aggregate, Aggregate]:
    """Return when marketing was last allowed and last refused: over one channel, or in any record."""
    where = None if channel is None else ("channel", channel)
    allowed, denied = (Aggregate("consents", "min", name, where=where) for name in ("allowed_ago", "denied_ago"))
    return allowed, denied


def preferred_words() -> tuple[Aggregate, Aggregate]:
    """Return when marketing was last allowed and last refused over the customer's preferred channel."""
    names = ("preferred_allowed_ago", "preferred_denied_ago")
    allowed, denied = (Aggregate("consents", "min", name) for name in names)
    return allowed, denied


def asked_words(channels: Sequence[str], *, by_channel: bool, preferred: bool) -> Iterator[Aggregate]:
    """Yield all that the formulas need.

    Parameters
    ----------
    channels
        Channels that are asked about.
    by_channel
        Records may be about one channel.
    preferred
        The preferred channel is asked about too.
    """
    yield from words(EVERY_CHANNEL if by_channel else None)
    if not by_channel:
        return
    yield from words()
    yield STANDING
    for channel in channels:
        yield from words(channel)
    if preferred:
        yield from preferred_words()


def allows(days: Days, *, by_channel: bool, without_record: bool) -> Tree:
    """Return whether the customer allows marketing at all.

    It does if the last record that speaks for all channels is a consent, or if a consent to some channel stands that is
    younger than the last refusal of all channels; without any record, `without_record` says.
    """
    everything = words(EVERY_CHANNEL if by_channel else None)
    allowed = _last_is_yes(days, [everything])
    if by_channel:
        allowed = exp.or_(allowed, _younger(days(STANDING), [days(everything[1])]))
    return exp.case().when(_any_said(days, words()), allowed).else_(exp.convert(without_record))


def allows_over(days: Days, own: tuple[Aggregate, Aggregate] | None, *, by_channel: bool, without_record: bool) -> Tree:
    """Return whether the customer allows marketing over a channel.

    Parameters
    ----------
    days
        Finds an aggregate.
    own
        What was last said about that channel alone; None where nothing can be known of that.
    by_channel
        Records may be about one channel.
    without_record
        The answer where nothing was said of that channel or of all.
    """
    said = [words(EVERY_CHANNEL if by_channel else None), *([] if own is None else [own])]
    anything = exp.or_(*(_any_said(days, one) for one in said))
    return exp.case().when(anything, _last_is_yes(days, said)).else_(exp.convert(without_record))


def _any_said(days: Days, said: tuple[Aggregate, Aggregate]) -> Tree:
    return exp.or_(*(exp.not_(is_null(days(word))) for word in said))


def _last_is_yes(days: Days, said: Sequence[tuple[Aggregate, Aggregate]]) -> Tree:
    """Whether a consent is younger than every refusal."""
    yes, no = [days(allowed) for allowed, _ in said], [days(denied) for _, denied in said]
    return exp.or_(*(_younger(y, no) for y in yes))


def _younger(yes: Tree, refusals: Sequence[Tree]) -> Tree:
    return exp.and_(exp.not_(is_null(yes)), *(exp.or_(is_null(no), yes < no) for no in refusals))
