"""docs/integrate.md and the API page say what is true: every example is run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import typing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from core.audit import SYSTEM
from hashing import api as matching
from moderation import enforcement, webhooks
from moderation.order_shapes import OrderState, ResultWord
from moderation.vocabulary import verbs
from reports import actions, batches, door, payloads, vocabulary
from reports.access import ReportState
from reports.api_erasures import EXAMPLE as ERASURE
from reports.models import (
    Account,
    ApiKey,
    Item,
    Membership,
    Report,
    ScanState,
    Scope,
    SourceKind,
)
from reports.reference import examples, page
from tests.background import answer_lookups_at_once
from tests.casework import Casework, grant_all
from tests.reports.conftest import ALL_SCOPES, Platform

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "integrate.md"
BLOCK = re.compile(r"^```(\w+)( \w+)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    """Return ``(mark, text)`` of the guide's code blocks in one language."""
    found = BLOCK.findall(GUIDE.read_text())
    return [(mark.strip(), text) for kind, mark, text in found if kind == language]


def shell(script: str, folder: Path, url: str, key: str) -> subprocess.CompletedProcess[str]:
    assert shutil.which("curl"), "the examples need curl"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=os.environ | {"HOLDFAST": url, "HOLDFAST_KEY": key, "no_proxy": "*"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def key(transactional_db: None) -> str:
    source = actions.create_source(
        slug="messenger",
        name="Messenger",
        kind=SourceKind.PLATFORM,
        is_own_platform=True,
        actor=SYSTEM,
    )
    return actions.issue_key(source, scopes=ALL_SCOPES, actor=SYSTEM)[1]


def test_the_guide_works_from_top_to_bottom(live_server: Any, key: str, tmp_path: Path) -> None:
    scripts = blocks("sh")
    fine = "\n".join(text for mark, text in scripts if not mark)
    done = shell(fine, tmp_path, live_server.url, key)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"rejected": 1' in done.stdout  # The wish.
    assert '"state": "received"' in done.stdout
    assert Report.objects.count() == 6
    assert Item.objects.filter(kind="image").count() == 3
    talk = Item.objects.filter(conversation="chat-5").order_by("position")
    assert [item.kind for item in talk] == ["text", "image", "not_sent", "audio"]
    assert Membership.objects.count() == 2
    assert Account.objects.get(external_id="user-1001").ip_events.get().port == 50123

    [(_, failing)] = [(mark, text) for mark, text in scripts if mark == "fails"]
    refused = shell(failing, tmp_path, live_server.url, key)
    assert refused.returncode == 22
    [said] = [text for mark, text in blocks("json") if mark == "refused"]
    example, real = json.loads(said), json.loads(refused.stdout)
    assert len(example.pop("request_id")) == len(real.pop("request_id")) == 32
    assert real == example


def test_the_command_lines_of_the_api_page_work(
    live_server: Any,
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    casework: Casework,
    reviewer: User,
) -> None:
    answer_lookups_at_once(monkeypatch)
    order = casework.published(casework.case(), by=grant_all(reviewer)).enforcements.get()
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    schema = Client().get("/api/v1/openapi.json").json()
    platform = Platform(key)
    report = platform.post("/reports", examples.REPORT | {"external_id": ""})
    scan = platform.post("/scans", examples.SCAN)
    replay = platform.post("/deliveries/replay", {"since": datetime.now(UTC).isoformat()})
    appeal = platform.post(
        "/appeals", {"enforcement": str(order.pk), "external_id": "a", "reason": "Not me."}
    )
    known = f"REPORT_ID={report.json()['id']}; SCAN_ID={scan.json()['id']}; "
    asked = platform.post("/erasures", ERASURE | {"external_id": ""})
    known += f"ENFORCEMENT_ID={order.pk}; ERASURE_ID={asked.json()['id']}; "
    known += f"REPLAY_ID={replay.json()['id']}; APPEAL_ID={appeal.json()['id']}\n"
    known += "uuidgen() { python3 -c 'import uuid; print(uuid.uuid4())'; }\n"
    operations = page.operations_of(schema, live_server.url)
    offered = {one["operationId"] for path in schema["paths"].values() for one in path.values()}
    assert {operation["id"] for operation in operations} == offered
    [lines] = [operation["lines"] for operation in operations if operation["lines"]]
    (tmp_path / "batch.ndjson").write_text(lines)
    for operation in operations:
        line = operation["curl"].replace("curl -sS", "curl -sS --fail-with-body")
        done = shell(known + line.replace("-X GET ", ""), tmp_path, live_server.url, key)
        assert done.returncode == 0, f"{operation['id']}: {done.stdout}{done.stderr}"


def test_the_snippet_checks_a_real_message_and_acts_once() -> None:
    [(_, snippet)] = blocks("python")
    space: dict[str, Any] = {}
    exec(compile(snippet, str(GUIDE), "exec"), space)  # noqa: S102 — our own guide
    [(_, example)] = [(m, text) for m, text in blocks("json") if m == "webhook"]
    body, secret = enforcement.body_of(json.loads(example)), webhooks.new_secret()
    headers = webhooks.sign("id-1", datetime.now(UTC), body, [secret])
    seen: set[str] = set()
    carried: list[str] = []

    def receive(secret: str) -> int:
        return int(
            space["receive"](secret, headers, body, seen, lambda kind, data: carried.append(kind))
        )

    assert [receive(secret), receive(secret)] == [204, 204]
    assert carried == ["enforcement.ban_account"]
    assert receive(webhooks.new_secret()) == 401


def test_the_example_message_has_the_members_of_a_real_one() -> None:
    [(_, example)] = [(m, text) for m, text in blocks("json") if m == "webhook"]
    said = json.loads(example)
    data = said["data"]
    real = enforcement.payload_of(
        enforcement.Order(
            enforcement_id=data["enforcement_id"],
            decision_id=data["decision_id"],
            sequence=data["sequence"],
            verb="ban_account",
            target=enforcement.Target(account="user-1001"),
            case_number="C-000012",
            category=data["category"],
            policy_code="CS-3",
            policy_name=data["policy"]["name"],
            policy_url=data["policy"]["url"],
            decided_at=datetime(2026, 11, 22, 10, 42, tzinfo=UTC),
            decided_by_person=True,
            detected_by=["text_rule", "user_report"],
            reports=[enforcement.ReportName(**data["reports"][0])],
            reports_count=1,
        )
    )
    assert said == real


def guide() -> str:
    return GUIDE.read_text()


def section(title: str) -> str:
    """Return a part of the guide, up to the next of its level."""
    level = title.partition(" ")[0]
    return re.split(rf"^{level} ", guide().split(f"\n{title}\n")[1], flags=re.MULTILINE)[0]


def test_the_guide_speaks_of_every_address_and_scope() -> None:
    for path in Client().get("/api/v1/openapi.json").json()["paths"]:
        said = re.sub(r"\{\w+\}", "", path.removeprefix("/api/v1")).rstrip("/").split("//")[0]
        assert said in guide(), path
    scopes = re.findall(r"^\| `([a-z]+:[a-z]+)` \|", section("### Key and scopes"), re.MULTILINE)
    assert sorted(scopes) == sorted(Scope.values)


def test_the_guide_explains_every_word_that_is_answered() -> None:
    for words in (ReportState, ResultWord, OrderState):
        for word in typing.get_args(words):
            assert f"`{word}`" in guide(), word
    for title, values in (
        ("## What happens to a report", ScanState.values),
        ("## Keep in step", vocabulary.PLATFORM_STATUSES),
    ):
        assert all(f"`{word}`" in section(title) for word in values), title
    assert all(f"`{verb.code}`" in section("## Orders") for verb in verbs())


def test_the_limits_are_those_in_force() -> None:
    rows = section("## Limits")
    for name, value in {
        "items of a report": payloads.MAX_ITEMS,
        "a text, a description": payloads.MAX_TEXT,
        "members in one PUT": payloads.MAX_MEMBERS,
        "identifiers, IP events": payloads.MAX_IDENTIFIERS,
        "identifiers, IP events in": payloads.MAX_IP_EVENTS,
        "lines of a batch": batches.MAX_LINES,
        "files, digests, texts": matching.MOST_FILES,
        "files, digests, texts of": matching.MOST_DIGESTS,
        "files, digests, texts of a": matching.MOST_TEXTS,
        "links at a time": matching.MOST_LINKS,
        "requests of a key": ApiKey._meta.get_field("rate_per_minute").default,
        "the answer of a webhook": int(webhooks.SECONDS),
        "the answer of a webhook receiver": int(webhooks.CONNECT_SECONDS),
        "`Idempotency-Key`": door.LONGEST_IDEMPOTENCY_KEY,
    }.items():
        [row] = [line for line in rows.splitlines() if line.startswith(f"| {name}")]
        assert re.search(rf"(?<![\d,]){value:,}(?!\d|,\d)", row), name


def test_links_within_the_guide_lead_somewhere() -> None:
    titles = re.findall(r"^#+ (.*)$", guide(), re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([^)]*)\)", guide())) <= anchors
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", guide()):
        assert (GUIDE.parent / link).exists(), link


@pytest.mark.django_db
def test_the_api_page_is_public_and_needs_no_inline_script() -> None:
    answer = Client().get("/api/v1/docs")
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "<script>" not in page
    assert " style=" not in page
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    for operation in Client().get("/api/v1/openapi.json").json()["paths"].values():
        for said in operation.values():
            assert f'id="{said["operationId"]}"' in page
