"""A person without a screen: keeps cookies, reads forms, fills them in and sends them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Self
from urllib.parse import urljoin

import httpx


class DemoFailed(Exception):
    """A stage did not do what a person would have expected. The message says which and why."""


@dataclass(slots=True)
class Form:
    """A form of a page with the values it holds."""

    action: str
    values: dict[str, str | list[str]] = field(default_factory=dict)
    options: dict[str, list[str]] = field(default_factory=dict)
    """For radio buttons, check boxes and selections: the values on offer."""


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open: Form | None = None
        self._select = ""
        self._textarea: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(said.get("action", ""))
            self.forms.append(self._open)
            return
        form, name = self._open, said.get("name", "")
        if form is None:
            return
        if tag == "input" and name:
            self._input(form, name, said)
        elif tag == "select" and name:
            self._select = name
            form.options.setdefault(name, [])
        elif tag == "option" and self._select:
            value = said.get("value", "")
            form.options[self._select].append(value)
            if "selected" in said or self._select not in form.values:
                form.values[self._select] = value
        elif tag == "textarea" and name:
            self._textarea = name
            form.values[name] = ""

    def _input(self, form: Form, name: str, said: dict[str, str]) -> None:
        kind, value = said.get("type", "text"), said.get("value", "")
        if kind in {"radio", "checkbox"}:
            value = value or "on"
            form.options.setdefault(name, []).append(value)
            if "checked" in said:
                form.values[name] = value
        elif kind not in {"submit", "button", "file", "image", "reset"}:
            form.values[name] = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._textarea = None

    def handle_data(self, data: str) -> None:
        if self._textarea is not None and self._open is not None:
            # A browser drops the first line break of a textarea.
            before = str(self._open.values.get(self._textarea, ""))
            self._open.values[self._textarea] = before + (
                data if before else data.removeprefix("\n")
            )


@dataclass(slots=True)
class Page:
    """An answer that was asked for."""

    url: str
    status: int
    text: str
    headers: httpx.Headers
    content: bytes

    def forms(self) -> list[Form]:
        """Return the page's forms with their values."""
        parser = _Forms()
        parser.feed(self.text)
        return parser.forms

    def form(self, action: str = "", *, having: str = "") -> Form:
        """Return the first form whose action holds ``action`` and that has a field ``having``."""
        for form in self.forms():
            named = {*form.values, *form.options}
            if action in form.action and (not having or having in named):
                return form
        raise DemoFailed(f"{self.url} has no form for {action or having or 'anything'}")


class Browser:
    """One signed-in person (or nobody yet)."""

    def __init__(self, base: str) -> None:
        self.http = httpx.Client(
            base_url=base,
            timeout=60,
            follow_redirects=True,
            headers={"User-Agent": "holdfast-demo"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.http.close()

    def get(self, url: str) -> Page:
        """Open a page. Raises DemoFailed unless it answers well."""
        return self._page(self.http.get(url))

    def send(self, page: Page, form: Form, **values: str | Sequence[str]) -> Page:
        """Send a form of ``page`` with some values changed, as a click would."""
        target = urljoin(page.url, form.action or page.url)
        data: dict[str, Any] = {**form.values, **values}
        return self._page(
            self.http.post(target, data=data, headers={"Referer": page.url, "Accept": "text/html"})
        )

    def post(self, url: str, *, token: str, **values: str) -> httpx.Response:
        """Send what a script of the page would send; the caller looks at the answer."""
        return self.http.post(
            url,
            data=values,
            headers={
                "X-CSRFToken": token,
                "Accept": "application/json",
                "Referer": str(self.http.base_url),
            },
        )

    def _page(self, response: httpx.Response) -> Page:
        page = Page(
            str(response.url),
            response.status_code,
            response.text,
            response.headers,
            response.content,
        )
        if response.status_code >= 400:
            words = " ".join(_Words.of(response.text).split())[:400]
            raise DemoFailed(
                f"{response.request.method} {response.url} answered {page.status}: {words}"
            )
        return page


class _Words(HTMLParser):
    """The words of a page's main part, for an error message."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._main = False

    @classmethod
    def of(cls, text: str) -> str:
        parser = cls()
        parser.feed(text)
        return " ".join(parser.found)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._main = self._main or tag == "main"

    def handle_data(self, data: str) -> None:
        if self._main:
            self.found.append(data)
