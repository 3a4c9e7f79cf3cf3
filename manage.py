#!/usr/bin/env python
"""Django's command line for Holdfast."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django
    from django.core.management import execute_from_command_line

    if sys.argv[1:2] in (["rqworker"], ["scheduler"]):
        django.setup()
        from core.schema import refuse_to_start

        refuse_to_start()
    if sys.argv[1:2] in (["rqworker"], ["prepare"]):
        django.setup()
        from hashing.sandbox import refuse_to_start as refuse_without_sandbox

        refuse_without_sandbox()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
