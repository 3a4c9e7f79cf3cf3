"""What a case gives to a draft: its media as exhibits, its accounts. Which part these play is for a person to say.

A case may have many thousand items. Each verb here is one statement that the database answers from its own rows:
nothing is read into the application, and a request makes as many queries for ten items as for ten thousand.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

from referrals.models import Referral
from reports.choices import WITHOUT_FILE

# The same bytes are one exhibit, under however many ids and reports they came: `describing` names all of them. What is
# known is read row by row, and asked of a hash: joined, a planner that last saw the tables empty compares each with each.
_EXHIBITS = """
WITH known AS MATERIALIZED (
    SELECT (SELECT item.blob_id FROM reports_item AS item WHERE item.id = exhibit.item_id) AS blob_id
    FROM referrals_exhibit AS exhibit WHERE exhibit.referral_id = %(referral)s
), once AS (
    SELECT DISTINCT ON (item.blob_id) joined.item_id, joined.position, joined.id,
           CASE item.role WHEN 'context' THEN 'supplemental' ELSE 'reported' END AS relevance
    FROM moderation_caseitem AS joined JOIN reports_item AS item ON item.id = joined.item_id
    WHERE joined.case_id = %(case)s AND item.kind <> ALL(%(fileless)s)
      AND item.blob_id NOT IN (SELECT blob_id FROM known)
    ORDER BY item.blob_id, item.role DESC, joined.position, joined.id
)
INSERT INTO referrals_exhibit (referral_id, item_id, position, is_included, relevance, note, left_out_reason)
SELECT %(referral)s, once.item_id,
       (SELECT coalesce(max(position), 0) FROM referrals_exhibit WHERE referral_id = %(referral)s)
           + row_number() OVER (ORDER BY once.position, once.id),
       true, once.relevance, '', ''
FROM once
"""
_ACCOUNTS = """
WITH joined AS (
    SELECT item.sender_id, item.account_id, caseitem.position, caseitem.id
    FROM moderation_caseitem AS caseitem JOIN reports_item AS item ON item.id = caseitem.item_id
    WHERE caseitem.case_id = %(case)s
), found (account_id, a, b, c) AS (
    SELECT %(subject)s::uuid, 0, 0::bigint, 0::bigint
    UNION ALL SELECT sender_id, 1, position, id * 2 FROM joined
    UNION ALL SELECT account_id, 1, position, id * 2 + 1 FROM joined
    UNION ALL SELECT account_id, 2, 0, id FROM reports_membership
              WHERE group_id = %(group)s AND role IN ('owner', 'admin') AND left_at IS NULL
), once AS (
    SELECT DISTINCT ON (account_id) * FROM found WHERE account_id IS NOT NULL ORDER BY account_id, a, b, c
)
INSERT INTO referrals_referralaccount (referral_id, account_id, role, is_included, position)
SELECT %(referral)s, once.account_id, '', true,
       (SELECT coalesce(max(position), 0) FROM referrals_referralaccount WHERE referral_id = %(referral)s)
           + row_number() OVER (ORDER BY a, b, c)
FROM once
WHERE once.account_id NOT IN (SELECT known.account_id FROM referrals_referralaccount AS known
                              WHERE known.referral_id = %(referral)s)
"""
_COPIED = (
    """
INSERT INTO referrals_referralaccount (referral_id, account_id, role, role_set_by_id, role_set_at, is_included, position)
SELECT %(new)s, account_id, role, role_set_by_id, role_set_at, is_included, position
FROM referrals_referralaccount WHERE referral_id = %(old)s
""",
    """
INSERT INTO referrals_exhibit (referral_id, item_id, position, is_included, relevance, note, left_out_reason)
SELECT %(new)s, item_id, position, is_included, relevance, note, left_out_reason
FROM referrals_exhibit WHERE referral_id = %(old)s
""",
)


def add_exhibits(referral: Referral) -> int:
    """Add the media of the case that are not in the draft yet, in the order of the case; return how many."""
    return _run(
        _EXHIBITS,
        {
            "referral": referral.pk,
            "case": referral.case_id,
            "fileless": [str(each) for each in WITHOUT_FILE],
        },
    )


def add_accounts(referral: Referral) -> int:
    """Add the accounts of the case that are not in the draft yet; return how many.

    The subject comes first, then who sent or owns an item, then who runs the reported group now. Whoever left it
    or runs it no more is among its members in the package, with the day, and is not named as one who runs it.
    """
    case = referral.case
    return _run(
        _ACCOUNTS,
        {
            "referral": referral.pk,
            "case": case.pk,
            "subject": case.account_id,
            "group": case.group_id,
        },
    )


def copy_lines(old: Referral, new: Referral) -> None:
    """Give a revision the accounts and exhibits of the earlier one, as its author left them."""
    for statement in _COPIED:
        _run(statement, {"old": old.pk, "new": new.pk})


def _run(statement: str, said: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, said)
        return int(cursor.rowcount)
