"""What must hold before a package is sealed: the case's own rows are what its log says."""

from __future__ import annotations

from core.audit_check import check, snapshot
from core.audit_rows import differences
from referrals.models import Referral
from referrals.package import PackageRefused


def check_record(referral: Referral) -> None:
    """Raise PackageRefused naming what differs, when a row of the case is not what the log says.

    Reads the case's chain and its rows in one snapshot.
    """
    with snapshot():
        broken = check(chain=f"case:{referral.case_id}").breaks
        if broken:
            first = broken[0]
            raise PackageRefused(
                f"The custody log of this case is broken at entry {first.seq}: {first.what}. Keep the "
                "machine as it is and run manage.py verify_audit."
            )
        found = next(differences(case=referral.case), None)
    if found is not None:
        raise PackageRefused(
            f"{found.what}. Nothing was sealed. Find out who changed it: manage.py verify_audit names "
            "everything that differs."
        )
