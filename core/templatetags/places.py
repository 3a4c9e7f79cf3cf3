"""Where a page stands: which link of the sidebar is lit."""

from __future__ import annotations

from fnmatch import fnmatchcase

from django import template

register = template.Library()


@register.simple_tag
def stands_below(
    path: str, link: str, also: str = "", apart: str = "", *, exact: bool = False
) -> bool:
    """Return whether the page at ``path`` belongs to a link of the sidebar.

    ``also`` and ``apart`` are beginnings of paths, parted by spaces (``*`` is anything, ``?`` one character): pages that
    belong to it although their addresses begin otherwise, and pages below it that belong to another link.
    """
    if exact:
        return path == link
    if _begins(path, apart):
        return False
    return path.startswith(link) or _begins(path, also)


def _begins(path: str, patterns: str) -> bool:
    return any(fnmatchcase(path, f"{each}*") for each in patterns.split())
