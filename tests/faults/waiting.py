"""Waiting for whole processes: they start slowly on a machine that runs other tests as well."""

from __future__ import annotations

import functools

from tests import stack

wait_until = functools.partial(stack.wait_until, seconds=90)
