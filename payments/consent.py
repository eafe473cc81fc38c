"""What people do with money by hand takes two of them, and a reason."""

from models.lifecycle import Actor

MOST_REASON, MOST_APPROVER = 200, 60
"""Characters that the journal keeps."""


def is_agreed(actor: Actor, reason: str, approver: str) -> bool:
    """True when there is a reason, and somebody else than `actor` has agreed.

    An actor's id may say before a colon where he acts: whoever works at the console does not agree with himself by leaving that out.

    >>> is_agreed(Actor("staff", "console:wang"), "posted late", "Wang"), is_agreed(Actor("staff", "console:wang"), "posted late", "li")
    (False, True)
    """
    maker, other = actor.id.rpartition(":")[2].strip().casefold(), approver.strip().casefold()
    return 1 <= len(reason.strip()) <= MOST_REASON and 1 <= len(approver.strip()) <= MOST_APPROVER and other != maker
