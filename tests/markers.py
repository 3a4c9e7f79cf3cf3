"""Markers: a value that occurs nowhere else for every field that a shape or a form has, and the search for them.

``Filler`` walks the shapes of the API (``reports.payloads``) and the fields of forms by itself, so a field that
somebody adds gets a marker without a word here. What it filled in is looked for in a package by ``Marker.stands_in``.
"""

from __future__ import annotations

import enum
import json
import re
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from django import forms
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

LEFT_OUT = object()
"""Given for a member that is not sent."""
_BEGAN = datetime(2026, 1, 1, 10, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Marker:
    """What was filled in at ``path``. What cannot be unique (a choice, yes or no) is told by what stands ``beside`` it."""

    path: str
    said: tuple[Any, ...]
    beside: str = ""
    key: str = ""

    def stands_in(self, documents: Documents) -> bool:
        """Say whether a package's files hold it."""
        if not self.beside:
            return any(documents.holds(str(each)) for each in self.said)
        return any(
            self.beside in _texts(found)
            and any(
                value in self.said and (not self.key or key == self.key)
                for key, value in found.items()
                if not isinstance(value, dict | list)
            )
            for found in documents.objects
        )


class Documents:
    """The JSON files of an opened package, as texts and as objects."""

    def __init__(self, data: Path) -> None:
        self.objects: list[dict[str, Any]] = []
        texts: list[str] = []
        # The custody log tells who did what; it is not where an officer looks for a fact.
        for path in sorted(data.rglob("*")):
            if path.suffix == ".json" and "custody" not in path.parts:
                self._add(json.loads(path.read_text()), texts)
            elif path.suffix == ".jsonl" and "custody" not in path.parts:
                for line in path.read_text().splitlines():
                    self._add(json.loads(line), texts)
        self._text = "\n".join(texts)

    def _add(self, document: Any, texts: list[str]) -> None:
        self.objects += _objects(document)
        texts += _texts(document)

    def holds(self, text: str) -> bool:
        """Say whether a text stands anywhere as a word of its own."""
        return (
            re.search(rf"(?<![A-Za-z0-9]){re.escape(text)}(?![A-Za-z0-9])", self._text) is not None
        )


def _objects(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        yield document
    for each in document.values() if isinstance(document, dict) else document:
        if isinstance(each, dict | list):
            yield from _objects(each)


def _texts(document: Any) -> list[str]:
    if isinstance(document, dict):
        return [text for pair in document.items() for each in pair for text in _texts(each)]
    if isinstance(document, list):
        return [text for each in document for text in _texts(each)]
    return [] if document is None or isinstance(document, bool) else [str(document)]


class Filler:
    """Fills shapes and forms; ``markers`` holds what was filled in. ``tag`` makes two runs differ."""

    def __init__(self, tag: str = "") -> None:
        self.tag = tag or uuid.uuid4().hex[:6]
        self.markers: list[Marker] = []
        self.count = 0

    # ── Shapes of the API ─────────────────────────────────────────────────────────────────────
    def shape(
        self, shape: type[BaseModel], path: str, given: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return a document with a marker in every member of ``shape`` but those ``given`` (``LEFT_OUT``: not sent).

        A given callable is called for each value. Raises AssertionError for a type that it does not know.
        """
        given = given or {}
        filled: dict[str, Any] = {}
        later = []
        for name, info in shape.model_fields.items():
            where = f"{path}.{name}"
            if name in given:
                value = given[name]() if callable(given[name]) else given[name]
                if value is not LEFT_OUT:
                    filled[name] = value
            elif _choices(info.annotation):
                later.append((name, info))
            else:
                filled[name] = self._value(where, info)
        beside = next((str(each) for each in filled.values() if _is_unique(each)), "")
        for name, info in later:
            value = _choices(info.annotation)[0]
            filled[name] = value.value if isinstance(value, enum.Enum) else value
            self._mark(f"{path}.{name}", *_spellings(value), beside=beside, key=name)
        return filled

    def each_choice(
        self,
        shape: type[BaseModel],
        path: str,
        name: str,
        given: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Return one document for each value that the member ``name`` may have."""
        found = []
        for value in _choices(shape.model_fields[name].annotation):
            plain = value.value if isinstance(value, enum.Enum) else value
            document = self.shape(shape, path, {**(given or {}), name: plain})
            beside = next(str(each) for each in document.values() if _is_unique(each))
            self._mark(f"{path}.{name}", *_spellings(value), beside=beside)
            found.append(document)
        return found

    def _value(self, path: str, info: FieldInfo) -> Any:
        kind = _bare(info.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return self.shape(kind, path)
        if get_origin(kind) is dict:
            name, value = self.text(f"{path} (name)"), self.text(f"{path} (value)")
            return {name: value}
        told: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        whole: TypeAdapter[Any] = TypeAdapter(told)
        makers: list[Callable[[], Any]] = [self._text, self._moment, self._address]
        makers += [self._number, self._url, self._country]
        for make in makers:
            value = make()
            try:
                whole.validate_python(value)
            except ValidationError:
                continue
            self._mark(path, value)
            return value
        raise AssertionError(f"no marker fits {path}: {info.annotation}")

    # ── Forms ─────────────────────────────────────────────────────────────────────────────────
    def form(
        self, form: type[forms.Form], path: str, given: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what a browser would send of a form with a marker in each field but those ``given``."""
        given = given or {}
        filled: dict[str, Any] = {}
        for name, field in form.base_fields.items():
            where = f"{path}.{name}"
            if name in given:
                filled[name] = given[name]
            elif isinstance(field, forms.DateTimeField):
                filled[name] = self._moment()
                self._mark(where, filled[name])
                filled[name] = filled[name].removesuffix("Z")
            elif isinstance(field, forms.ChoiceField):
                raise AssertionError(f"give a value for the choice {where}")
            elif isinstance(field, forms.BooleanField):
                raise AssertionError(f"give a value for {where}")
            else:
                filled[name] = self.text(where)
        return filled

    # ── Values ────────────────────────────────────────────────────────────────────────────────
    def text(self, path: str) -> str:
        """Return a marker word."""
        value = self._text()
        self._mark(path, value)
        return value

    def _mark(self, path: str, *said: Any, beside: str = "", key: str = "") -> None:
        self.markers.append(Marker(path, said, beside, key))

    def _next(self) -> int:
        self.count += 1
        return self.count

    def _text(self) -> str:
        return f"mk{self.tag}n{self._next()}"

    def _moment(self) -> str:
        number = self._next()
        at = _BEGAN + timedelta(seconds=number, microseconds=123 + number)
        return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _address(self) -> str:
        number = self._next()
        return f"2001:db8:{int(self.tag[:4], 16):x}::{number:x}"

    def _number(self) -> int:
        return 40_000 + self._next()

    def _url(self) -> str:
        return f"https://marker.example/{self._text()}"

    def _country(self) -> str:
        return "ZQ"


def _bare(annotation: Any) -> Any:
    """Return a type without Annotated and None."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            rest = [each for each in get_args(annotation) if each is not type(None)]
            if len(rest) != 1:
                return annotation
            annotation = rest[0]
        else:
            return annotation


def _choices(annotation: Any) -> list[Any]:
    kind = _bare(annotation)
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return list(kind)
    return [True] if kind is bool else []


def _spellings(value: Any) -> tuple[Any, ...]:
    if isinstance(value, bool):
        return (value,)
    said = [str(getattr(value, "value", value))]
    if label := getattr(value, "label", ""):
        said.append(str(label))
    return tuple(said)


def _is_unique(value: Any) -> bool:
    return isinstance(value, str) and re.match(r"(https://marker\.example/)?mk", value) is not None


def missing(markers: list[Marker], documents: Documents) -> list[str]:
    """Return the paths of markers that stand nowhere, each once."""
    return sorted({each.path for each in markers if not each.stands_in(documents)})
