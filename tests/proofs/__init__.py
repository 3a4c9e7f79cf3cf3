"""Promises of Holdfast, each tried from outside on a real installation: ``make proofs``.

The runner starts one installation as ``make up`` does, with sample data and a folder of its own, and calls every
function marked with ``proof`` in the modules of this folder, a module at a time in the order of their names. A proof
speaks HTTP, signals or the command line, like an attacker, a fault or a person would; it returns what it measured in
a few words, or raises AssertionError with what was broken. It leaves the installation running and usable.

``make proofs`` runs all of them (15 minutes at most), ``make proofs QUICK=1`` those marked ``quick`` (5 minutes at
most), ``make proofs ONLY=name`` those whose name or module holds ``name``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import django

# The proofs use a few of Holdfast's own modules, such as the codes of the sample people; none opens its database.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("HOLDFAST_TESTING", "1")
django.setup()

from tests.proofs.installation import Installation  # noqa: E402 — it needs Django's settings

Tried = Callable[[Installation], str]


@dataclass(frozen=True, slots=True)
class Proof:
    """One promise and the function that tries to break it."""

    promise: str
    name: str
    tried: Tried
    quick: bool
    last: bool


FOUND: list[Proof] = []


def proof(promise: str, *, quick: bool = False, last: bool = False) -> Callable[[Tried], Tried]:
    """Mark a function as the proof of ``promise``, one sentence in the present tense.

    ``quick`` puts it among those of ``QUICK=1``: a few seconds at most. ``last`` lets it run after all others,
    because it disturbs them (kills processes, fills a disk, changes a clock).
    """

    def keep(tried: Tried) -> Tried:
        module = tried.__module__.rpartition(".")[2]
        FOUND.append(Proof(promise, f"{module}.{tried.__name__}", tried, quick, last))
        return tried

    return keep
