"""How complete a referral is: what must be there, what makes it useful, and what is stated blank.

Values in, values out. The required set follows what a package cannot be sealed without; the useful
set follows what receiving agencies act on (an account they can find, a time, an address).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when the meter is read. Counts are of what would go into the package."""

    recipient_active: bool
    recipient_keys: int
    legal_basis: str
    incident_type: str
    incident_at: bool
    incident_proposed: tuple[str, ...]
    narrative: str
    exhibits: int
    left_out_without_reason: int
    messages: int
    accounts_without_part: int
    suspects: int
    phones: int
    emails: int
    ip_events: int
    ip_events_with_port: int
    devices: int
    profile_urls: int
    join_dates: int
    upload_ips: int
    exhibits_viewed: int


@dataclass(frozen=True, slots=True)
class Point:
    """One line of the meter. ``hint`` says how to put it right, in one sentence."""

    key: str
    label: str
    is_met: bool
    is_required: bool
    hint: str


@dataclass(frozen=True, slots=True)
class Meter:
    """The whole meter."""

    points: tuple[Point, ...]

    @property
    def required(self) -> tuple[Point, ...]:
        return tuple(point for point in self.points if point.is_required)

    @property
    def useful(self) -> tuple[Point, ...]:
        return tuple(point for point in self.points if not point.is_required)

    @property
    def blockers(self) -> tuple[Point, ...]:
        """Required points that are not met: approval cannot be asked for."""
        return tuple(point for point in self.required if not point.is_met)

    @property
    def required_met(self) -> int:
        return sum(point.is_met for point in self.required)

    @property
    def useful_met(self) -> int:
        return sum(point.is_met for point in self.useful)

    @property
    def blanks(self) -> tuple[str, ...]:
        """Labels of useful points that are missing: a blank is stated, never silent."""
        return tuple(point.label for point in self.useful if not point.is_met)


NARRATIVE_MINIMUM = 40  # characters; below that nobody can act on it


UNCONFIRMED = {
    name: f"The {what} of the incident is a proposal that nobody confirmed. Change it, or say that it is right."
    for name, what in (("incident_type", "type"), ("incident_at", "time"))
}
"""What stands at a field of the incident that was filled in from the case and that no person confirmed or changed."""


def _without_part(number: int) -> str:
    who = "One account has no part." if number == 1 else f"{number:,} accounts have no part."
    return f"{who} Say under Accounts which part each plays; “Not said” is an answer too."


def measure(facts: Facts) -> Meter:
    """Return the meter for ``facts``."""
    must, may = True, False
    return Meter(
        (
            Point(
                "recipient",
                "Recipient with a confirmed public key",
                facts.recipient_active and facts.recipient_keys > 0,
                must,
                "Choose an active agency with a public key that a second person confirmed. Keys are entered "
                "and confirmed on the page Agencies.",
            ),
            Point(
                "legal_basis",
                "Legal basis",
                bool(facts.legal_basis.strip()),
                must,
                "Name the provision under which this may be handed over.",
            ),
            Point(
                "incident_type",
                "Incident type",
                bool(facts.incident_type.strip())
                and "incident_type" not in facts.incident_proposed,
                must,
                UNCONFIRMED["incident_type"]
                if "incident_type" in facts.incident_proposed
                else "Say in a few words what happened.",
            ),
            Point(
                "incident_at",
                "Date and time of the incident",
                facts.incident_at and "incident_at" not in facts.incident_proposed,
                must,
                UNCONFIRMED["incident_at"]
                if "incident_at" in facts.incident_proposed
                else "Give the time in UTC; the newest reported content is a good start.",
            ),
            Point(
                "narrative",
                "Summary in words",
                len(facts.narrative.strip()) >= NARRATIVE_MINIMUM,
                must,
                f"Write at least {NARRATIVE_MINIMUM} characters: who, what, when, how it was found.",
            ),
            Point(
                "content",
                "At least one exhibit or message",
                facts.exhibits + facts.messages > 0,
                must,
                "Include an exhibit, or include the messages of the case.",
            ),
            Point(
                "left_out",
                "A reason for every exhibit left out",
                facts.left_out_without_reason == 0,
                must,
                "Say why an exhibit stays behind; the reason is kept with the referral.",
            ),
            Point(
                "parts",
                "A part for every account",
                facts.accounts_without_part == 0,
                must,
                _without_part(facts.accounts_without_part),
            ),
            Point(
                "suspect",
                "A suspect is named",
                facts.suspects > 0,
                may,
                "Say under Accounts who it is, if you can.",
            ),
            Point(
                "phones", "Phone number", facts.phones > 0, may, "The platform has not sent one."
            ),
            Point(
                "emails", "E-mail address", facts.emails > 0, may, "The platform has not sent one."
            ),
            Point(
                "ip_events",
                "IP events with time",
                facts.ip_events > 0,
                may,
                "Ask the platform to send sign-in and upload addresses.",
            ),
            Point(
                "ip_ports",
                "IP events with port",
                facts.ip_events_with_port > 0,
                may,
                "Carriers share one address among many people; the port tells them apart.",
            ),
            Point("devices", "Devices", facts.devices > 0, may, "The platform has not sent any."),
            Point(
                "profile_urls",
                "Profile address",
                facts.profile_urls > 0,
                may,
                "The platform has not sent one.",
            ),
            Point(
                "join_dates",
                "Date the account was opened",
                facts.join_dates > 0,
                may,
                "The platform has not sent it.",
            ),
            Point(
                "upload_ips",
                "Upload address of an exhibit",
                facts.upload_ips > 0,
                may,
                "The platform can send it with each item.",
            ),
            Point(
                "viewed",
                "An exhibit was viewed by a person",
                facts.exhibits_viewed > 0,
                may,
                "Computed from the reveal log. Unseen exhibits may need a warrant to be opened.",
            ),
        )
    )
