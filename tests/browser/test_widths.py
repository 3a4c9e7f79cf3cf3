"""What is cut or runs over at the widths of ordinary windows: seen only where a browser lays it out."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from accounts.permissions import Role
from core.audit import SYSTEM
from reports.actions import create_source, issue_key
from reports.models import Scope
from tests.browser.conftest import Window
from tests.casework import grant_all
from tests.cast import make_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WIDTHS = (1280, 1300)

# The room that the words of a placeholder take, against what the field has for them.
_CUT = """field => {
  const style = getComputedStyle(field);
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = style.font;
  const room = field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  return pen.measureText(field.placeholder).width > room;
}"""


def test_the_table_of_keys_stays_in_its_card_and_its_badge_beside_the_name(
    window: Window, tap: object
) -> None:
    source = create_source(
        slug="chat", name="Chat", kind="platform", is_own_platform=True, actor=SYSTEM
    )
    issue_key(source, name="live-server", scopes=list(Scope), actor=SYSTEM)
    scopes = [scope for scope in Scope if scope != Scope.LINKS_WRITE]
    issue_key(source, name="trying out", scopes=scopes, is_test=True, actor=SYSTEM)
    page: Page = window(make_person("Ada Adams", Role.ADMINISTRATOR))
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        page.goto("/sources/chat/")
        wrap = page.locator(".table-wrap")
        assert wrap.evaluate("node => node.scrollWidth <= node.clientWidth"), width
        row = page.get_by_role("row").filter(has_text="trying out")
        name, badge = row.get_by_text("trying out").bounding_box(), row.locator("th .badge")
        at = badge.bounding_box()
        assert name
        assert at
        assert 0 <= at["x"] - (name["x"] + name["width"]) < 16, width
        below = row.get_by_text("hf_test_").bounding_box()
        assert below
        assert (below["x"], below["y"] > name["y"]) == (name["x"], True), width


def test_what_to_type_in_the_search_is_not_cut(window: Window, tap: object) -> None:
    page: Page = window(grant_all(make_person("Robin Reed", Role.REVIEWER)))
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        page.goto("/")
        assert not page.get_by_label("Number or id").evaluate(_CUT), width
