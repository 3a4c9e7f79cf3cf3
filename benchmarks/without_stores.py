"""Import first in a measurement that asks no database: Django with its settings, and a data folder that ends with it."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile

import django

_FOLDER = tempfile.mkdtemp(prefix="holdfast-bench-")
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
os.environ |= {
    "HOLDFAST_TESTING": "1",
    "HOLDFAST_VAR": _FOLDER,
    "DJANGO_SETTINGS_MODULE": "config.settings",
}
django.setup()
logging.disable(logging.INFO)  # A table is printed, and nothing else.
