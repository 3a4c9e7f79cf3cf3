#!/usr/bin/env python
"""Django's command line for Holdfast."""

import os
import select
import signal
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
    try:
        execute_from_command_line(sys.argv)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads_on():
            raise
        # Python would try to write the rest once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def _nobody_reads_on() -> bool:
    """Whether the reader of what is printed has gone, as ``head`` does when it has its lines."""
    if sys.stdout is None:
        return False
    printed = select.poll()
    printed.register(sys.stdout.fileno(), select.POLLOUT)
    return any(state & select.POLLERR for _, state in printed.poll(0))


if __name__ == "__main__":
    main()
