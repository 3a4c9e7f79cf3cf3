"""Which rules does no test hold? ``make mutants`` breaks one at a time and runs the tests that pass by.

A search over every verb (``*/actions``) and every access rule (``*/access.py`` and its siblings). Why not a ready-made
tool: mutmut leaves decorated functions alone, and nearly every verb here is ``@transaction.atomic``; cosmic-ray has no
mutation for what was found to survive most (the second condition of a filter), changes the checkout it runs in, and
runs every test for every change.
"""
