"""Which step may follow which in the life of a referral. Values in, values out."""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """What a person or the builder wants to do."""

    EDIT = "edit"
    REQUEST = "request approval"
    WITHDRAW = "withdraw"
    APPROVE = "approve"
    RETURN = "return for correction"
    BUILD = "build"
    RETRY = "build again"
    REVISE = "make a correction"


ALLOWED: dict[Step, frozenset[str]] = {
    Step.EDIT: frozenset({"draft"}),
    Step.REQUEST: frozenset({"draft"}),
    Step.WITHDRAW: frozenset({"awaiting_approval"}),
    Step.APPROVE: frozenset({"awaiting_approval"}),
    # A failed build may show that the draft is wrong; correcting it needs a new approval.
    Step.RETURN: frozenset({"awaiting_approval", "build_failed"}),
    Step.BUILD: frozenset({"approved", "building"}),
    Step.RETRY: frozenset({"build_failed"}),
    Step.REVISE: frozenset({"sealed"}),
}

_STATE_WORDS = {
    "draft": "a draft",
    "awaiting_approval": "waiting for approval",
    "approved": "approved and about to be built",
    "building": "being built",
    "build_failed": "stopped by a failed build",
    "sealed": "sealed",
}


def why_not(step: Step, state: str) -> str | None:
    """Return the sentence that says why ``step`` is not possible now, or None if it is."""
    if state in ALLOWED[step]:
        return None
    return f"You cannot {step} now: this referral is {_STATE_WORDS.get(state, state)}."


def steps_shown(state: str) -> list[dict[str, str]]:
    """Return the stepper of the page: label and state (done, current, pending, failed) of each."""
    order = ["draft", "awaiting_approval", "building", "sealed"]
    labels = ["Draft", "Second person approves", "Package is built", "Sealed"]
    at = {"draft": 0, "awaiting_approval": 1, "approved": 2, "building": 2, "build_failed": 2}
    current = at.get(state, len(order))
    shown = []
    for index, label in enumerate(labels):
        if index < current:
            mark = "done"
        elif index == current:
            mark = "failed" if state == "build_failed" else "current"
        else:
            mark = "pending"
        shown.append({"label": label, "state": mark})
    return shown
