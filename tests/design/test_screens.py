"""What every template and every asset keeps to, whoever writes it."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import get_template

TEMPLATES = Path(settings.BASE_DIR) / "templates"
STATIC = Path(settings.BASE_DIR) / "static"
PAGES = sorted(TEMPLATES.rglob("*.html"))
NAMES = [str(path.relative_to(TEMPLATES)) for path in PAGES]
# Weight of all scripts and styles as they travel. A page must open at once on a slow line.
MOST_BYTES = 60 * 1024


@pytest.mark.parametrize("name", NAMES)
def test_a_template_compiles_with_everything_it_includes(name: str) -> None:
    get_template(name)
    source = (TEMPLATES / name).read_text()
    for included in re.findall(r"{%\s*(?:include|extends)\s+[\"']([^\"']+)[\"']", source):
        get_template(included)


@pytest.mark.parametrize("name", NAMES)
def test_a_template_has_no_inline_script_style_or_handler(name: str) -> None:
    source = (TEMPLATES / name).read_text()
    assert not re.search(r"<style\b", source), "a style element breaks the content security policy"
    assert not re.search(r"\sstyle\s*=", source), "use a class of static/css"
    assert not re.search(r"\son[a-z]+\s*=\s*[\"']", source), "use a data attribute of app.js"
    assert not re.search(r"<script(?![^>]*\bsrc=)", source), "scripts live in static/js"
    assert "hx-on" not in source
    assert "js:" not in source
    assert not re.search(r"hx-trigger=[\"'][^\"']*\[", source), "trigger filters need eval"
    assert not re.search(r"(?:src|href|action)=[\"']https?://", source), "no third party"


@pytest.mark.parametrize("name", NAMES)
def test_a_template_asks_only_for_icons_that_exist(name: str) -> None:
    drawn = set(re.findall(r'<symbol id="([a-z-]+)"', (STATIC / "icons.svg").read_text()))
    source = (TEMPLATES / name).read_text()
    asked = set(re.findall(r"ui/icon\.html\"\s+with\s+name=\"([a-z-]+)\"", source))
    asked |= set(re.findall(r"\bicon=\"([a-z-]+)\"", source))
    assert asked <= drawn


@pytest.mark.parametrize(
    "name", [name for name in NAMES if not name.startswith(("ui/", "django/"))]
)
def test_a_component_does_not_see_the_variables_of_the_page(name: str) -> None:
    """Without ``only`` a page variable called ``title`` or ``id`` would end up inside a button."""
    needs_context = (
        "ui/undo",
        "ui/filters",
        "ui/pagination",
        "ui/error_summary",
        "ui/file_drop",
        "ui/refused_fragment",
        "ui/evidence_cover",
        "ui/head",
        "ui/sidebar",
        "ui/user_menu",
        "ui/toasts",
        "ui/keys_dialog",
    )
    source = (TEMPLATES / name).read_text()
    for tag, component in re.findall(r"({%\s*include\s+\"(ui/[a-z_]+)\.html\"[^%]*%})", source):
        if component not in needs_context:
            assert re.search(r"\bonly\s*%}$", tag), tag


@pytest.mark.parametrize("name", NAMES)
def test_every_form_that_posts_carries_its_token(name: str) -> None:
    source = (TEMPLATES / name).read_text()
    for form in re.findall(r"<form\b[^>]*\bmethod=\"post\".*?</form>", source, flags=re.DOTALL):
        assert "csrf_token" in form, form[:120]


def test_scripts_and_styles_stay_small() -> None:
    files = [*STATIC.rglob("*.css"), *STATIC.rglob("*.js")]
    weight = sum(len(gzip.compress(path.read_bytes(), 6)) for path in files)
    assert weight <= MOST_BYTES, f"{weight} bytes"


def test_our_script_never_evaluates_text() -> None:
    source = (STATIC / "js" / "app.js").read_text()
    for unsafe in (
        "eval(",
        "new Function",
        "innerHTML",
        "outerHTML =",
        "document.write",
        "insertAdjacentHTML",
    ):
        assert unsafe not in source
    assert "http://" not in source
    assert "https://" not in source


# ── Colours ──────────────────────────────────────────────────────────────────────────────────────

TOKENS = dict(
    re.findall(
        r"--([a-z0-9-]+):\s*light-dark\((#[0-9a-f]{6}),\s*(?:#[0-9a-f]{6})\);",
        (STATIC / "css" / "tokens.css").read_text(),
    )
)
DARK_TOKENS = dict(
    re.findall(
        r"--([a-z0-9-]+):\s*light-dark\(#[0-9a-f]{6},\s*(#[0-9a-f]{6})\);",
        (STATIC / "css" / "tokens.css").read_text(),
    )
)
SURFACES = ("canvas", "sidebar", "surface", "raised", "sunken")
TEXT_PAIRS = [
    *[(text, surface) for text in ("text", "text-soft", "text-muted") for surface in SURFACES],
    *[(f"{tone}-fg", f"{tone}-bg") for tone in ("neutral", "info", "ok", "warn", "danger")],
    *[(f"{tone}-fg", "surface") for tone in ("info", "ok", "warn", "danger")],
    *[(f"sev-{level}-fg", f"sev-{level}-bg") for level in range(1, 6)],
    ("accent", "surface"),
    ("accent", "canvas"),
    ("accent-strong", "accent-soft"),
    ("text", "accent-soft"),
    ("text-muted", "neutral-bg"),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("on-danger", "danger"),
    ("on-danger", "danger-strong"),
]
EDGE_PAIRS = [
    *[("border-control", surface) for surface in ("canvas", "surface", "raised", "sunken")],
    *[("focus", surface) for surface in SURFACES],
    ("danger", "surface"),
]


def _luminance(colour: str) -> float:
    """WCAG 2.2, definition of relative luminance."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [TOKENS, DARK_TOKENS], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "back"), TEXT_PAIRS)
def test_text_can_be_read(theme: dict[str, str], front: str, back: str) -> None:
    assert _contrast(theme[front], theme[back]) >= 4.5


@pytest.mark.parametrize("theme", [TOKENS, DARK_TOKENS], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "back"), EDGE_PAIRS)
def test_controls_and_focus_can_be_seen(theme: dict[str, str], front: str, back: str) -> None:
    assert _contrast(theme[front], theme[back]) >= 3


@pytest.mark.parametrize("theme", [TOKENS, DARK_TOKENS], ids=["light", "dark"])
def test_severity_keeps_its_order_without_colour(theme: dict[str, str]) -> None:
    """The chip of the highest level stands apart from all others in lightness alone."""
    others = [_luminance(theme[f"sev-{level}-bg"]) for level in range(1, 5)]
    highest = _luminance(theme["sev-5-bg"])
    assert all(abs(highest - other) > 0.02 for other in others)
