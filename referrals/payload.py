"""The documents of a package's payload: what people and machines read beside the originals.

Every function turns the description into bytes. JSON is written with sorted keys, so that the same
case state gives the same bytes, and with ASCII escapes off, so that names stay readable.
What does not exist is left out rather than shown empty.
"""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from referrals.custody import export_chain, export_inclusion, export_lines, utc_text
from referrals.recipe import recipe

if TYPE_CHECKING:
    from referrals.package.description import (
        Account,
        Conversation,
        Exhibit,
        Message,
        Original,
        PackageSpec,
    )

VERIFIER = Path(__file__).parent / "verifier" / "verify_package.py"


def documents(spec: PackageSpec, originals: Sequence[Original]) -> dict[str, bytes]:
    """Every payload file but the originals and the summary, by its path in the bag."""
    root_namespace = f"custody-root@{spec.organisation.domain}"
    found = {
        "data/README.txt": readme(spec).encode(),
        "data/metadata/exhibits.json": _json(exhibits(spec, originals)),
        "data/metadata/case.jsonld": _json(case_graph(spec, originals)),
        "data/custody/audit.jsonl": export_lines(spec.custody),
        "data/custody/audit.chain": export_chain(spec.custody),
        "data/custody/inclusion.json": export_inclusion(
            spec.custody,
            root_signature=spec.custody_root_signature or None,
            namespace=root_namespace if spec.custody_root_signature else None,
        ),
        **({"data/custody/anchor.json": _json(dict(spec.anchor))} if spec.anchor else {}),
        "data/legal/basis.json": _json(legal_basis(spec)),
        "data/documentation/verify_package.py": VERIFIER.read_bytes(),
    }
    if spec.accounts:
        found["data/metadata/accounts.json"] = _json(accounts(spec))
    for number, conversation in enumerate(spec.conversations, start=1):
        base = f"data/metadata/messages/conversation-{number:04d}"
        found[f"{base}.jsonl"] = messages_jsonl(spec, conversation)
        found[f"{base}.csv"] = messages_csv(conversation)
    return found


def readme(spec: PackageSpec) -> str:
    """``README.txt``: what this is, a warning, how to verify, whom to ask."""
    organisation = spec.organisation
    steps = "".join(f"    {line}\n" for line in _steps(spec).splitlines())
    contact = "\n".join(
        f"    {line}"
        for line in (
            organisation.contact_name,
            organisation.contact_email,
            organisation.contact_phone,
        )
        if line
    )
    supersedes = f"\nIt replaces {spec.supersedes}. Please stop using that one.\n"
    conversations = (
        "    data/metadata/messages/    conversation context, JSON Lines and CSV\n"
        if spec.conversations
        else ""
    )
    return f"""\
{spec.package_id}
Escalation package from {organisation.name}
For {spec.recipient.label}
{supersedes if spec.supersedes else ""}
CONTENT WARNING
    The files in data/media are original evidence and may show severe abuse. Nothing else in this
    package contains an image. The files carry a neutral extension so that no program previews
    them by accident. Open them only if your task requires it.

WHAT IS INSIDE
    data/summary.pdf           the case for people; contains no images
    data/media/                original bytes as received, never re-encoded
    data/metadata/             exhibits, accounts, and the case in CASE/UCO vocabulary (JSON-LD)
{conversations}    data/custody/              who did what with this case, as a chain of hashes;
                               anchor.json: our signed statement of where the log ended
    data/legal/                why this was sent to you
    data/documentation/        a script that performs every check below and more

HOW TO VERIFY WITH STOCK TOOLS
    Get the file allowed_signers from our published page or from your agency record with us, never
    from whoever handed you this package. Put it next to the .tar.age file. Then, on Linux or
    macOS (on macOS write "shasum -a 256" and "shasum -a 512"), in a folder of its own:

{steps}
    It is one command. It ends with "VERIFIED" and status 0, or with "NOT VERIFIED", the reason and
    status 1, and then nothing in this package may be relied on. A package without a signature is
    not from us.

HOW TO VERIFY WITH OUR SCRIPT
    python3 verify_package.py {spec.file_name} --identity our-agency.key \\
        --allowed-signers allowed_signers --expect-recipient "{spec.recipient.agency}"

    The script needs Python 3.9 or later and nothing else (and the age command for the encrypted
    file). Fetch it from our published page for the first check: a script that arrives inside a
    package can be no more trustworthy than the package. It answers green, amber or red. Amber
    means that all bytes and the signature hold, and that something named in the answer could not
    be checked, such as a trusted time or our list of issued packages. Its exit status is 0 for
    green and 3 for amber; any other is red or means that it could not run.

CONTACT
    {organisation.name}
{contact}
"""


def _steps(spec: PackageSpec) -> str:
    return recipe(
        spec.package_id,
        principal=spec.signer.principal,
        namespace=spec.namespace,
        timestamped=spec.timestamp is not None,
    )


def exhibits(spec: PackageSpec, originals: Sequence[Original]) -> dict[str, Any]:
    """``exhibits.json``."""
    return {
        "package": spec.package_id,
        "viewing_rule": (
            "viewed_by_a_person is true when the log of reveals shows that the whole original was"
            " served to a signed-in person; viewing.reveals lists what it was computed from."
            " False means that nobody at the sender opened the file through its systems."
        ),
        "exhibits": [_exhibit(original) for original in originals],
    }


def _exhibit(original: Original) -> dict[str, Any]:
    exhibit = original.exhibit
    return _known(
        {
            "id": exhibit.id,
            "path": original.path,
            "original_name": exhibit.original_name,
            "media_type": exhibit.media_type,
            "size": exhibit.size,
            "md5": exhibit.md5.lower(),
            "sha1": original.sha1,
            "sha256": original.sha256,
            "sha512": original.sha512,
            "item": exhibit.item_id,
            "surface": exhibit.surface,
            "account": exhibit.account_id,
            "source_url": exhibit.source_url,
            "uploaded_at": _time(exhibit.uploaded_at),
            "upload_ip": exhibit.upload_ip,
            "upload_port": exhibit.upload_port,
            "received_at": _time(exhibit.received_at),
            "relevance": exhibit.relevance,
            "annotations": list(exhibit.annotations),
            "findings": [
                _known(
                    {"detector": found.detector, "summary": found.summary, "at": _time(found.at)}
                )
                for found in exhibit.findings
            ],
            "viewed_by_a_person": exhibit.was_viewed,
            "viewing": _viewing(exhibit),
        }
    )


def _viewing(exhibit: Exhibit) -> dict[str, Any]:
    served = [reveal.served_at for reveal in exhibit.reveals if reveal.served_at and reveal.whole]
    return _known(
        {
            "computed_from": f"{len(exhibit.reveals)} entries of the log of reveals",
            "first_viewed_at": _time(min(served)) if served else "",
            "last_viewed_at": _time(max(served)) if served else "",
            "reveals": [
                {
                    "id": reveal.id,
                    "person": reveal.person,
                    "purpose": reveal.purpose,
                    "opened_at": utc_text(reveal.opened_at),
                    "served_at": _time(reveal.served_at) or None,
                    "shown_seconds": reveal.shown_seconds,
                    "whole": reveal.whole,
                }
                for reveal in exhibit.reveals
            ],
        }
    )


def accounts(spec: PackageSpec) -> dict[str, Any]:
    """``accounts.json``."""
    return {
        "package": spec.package_id,
        "accounts": [_account(account) for account in spec.accounts],
    }


def _account(account: Account) -> dict[str, Any]:
    return _known(
        {
            "platform_id": account.platform_id,
            "role": account.role,
            "display_name": account.display_name,
            "usernames": list(account.usernames),
            "phones": list(account.phones),
            "emails": list(account.emails),
            "profile_urls": list(account.profile_urls),
            "devices": list(account.devices),
            "joined_at": _time(account.joined_at),
            "groups": list(account.groups),
            "ip_events": [
                _known(
                    {
                        "at": utc_text(event.at),
                        "ip": event.ip,
                        "port": event.port,
                        "kind": event.kind,
                        "device": event.device,
                    }
                )
                for event in account.network
            ],
            "notes": account.notes,
        }
    )


def legal_basis(spec: PackageSpec) -> dict[str, Any]:
    """``basis.json``."""
    basis = spec.legal_basis
    return _known(
        {
            "package": spec.package_id,
            "recipient": _known(
                {
                    "agency": spec.recipient.agency,
                    "name": spec.recipient.name,
                    "country": spec.recipient.country,
                    "keys": list(spec.recipient.age_recipients),
                }
            ),
            "summary": basis.summary,
            "statutes": list(basis.statutes),
            "authority": basis.authority,
            "drafted_by": basis.drafted_by,
            "approved_by": basis.approved_by,
            "approved_at": _time(basis.approved_at),
        }
    )


def messages_jsonl(spec: PackageSpec, conversation: Conversation) -> bytes:
    """One JSON object per message; the first line describes the conversation."""
    head = {
        "conversation": conversation.id,
        "messages": len(conversation.messages),
        "package": spec.package_id,
        "title": conversation.title,
    }
    lines = [head, *(_message(message) for message in conversation.messages)]
    return "".join(
        json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n" for line in lines
    ).encode("utf-8", "backslashreplace")


def messages_csv(conversation: Conversation) -> bytes:
    """The same for a spreadsheet, safe to open in one.

    A cell that begins like a formula gets an apostrophe in front: a message must not be able to
    run something on an officer's machine. The JSON Lines file has the text unchanged.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(("message", "sent_at", "sender", "reported", "exhibits", "text"))
    for message in conversation.messages:
        writer.writerow(
            _cell(value)
            for value in (
                message.id,
                _time(message.sent_at),
                message.sender,
                "yes" if message.is_reported else "no",
                " ".join(message.exhibits),
                message.text,
            )
        )
    return b"\xef\xbb\xbf" + stream.getvalue().encode("utf-8", "backslashreplace")


def _message(message: Message) -> dict[str, Any]:
    return _known(
        {
            "id": message.id,
            "sender": message.sender,
            "sent_at": _time(message.sent_at),
            "text": message.text,
            "exhibits": list(message.exhibits),
            "reported": message.is_reported,
        }
    )


def _cell(value: str) -> str:
    return f"'{value}" if value.lstrip()[:1] in ("=", "+", "-", "@") else value


def case_graph(spec: PackageSpec, originals: Sequence[Original]) -> dict[str, Any]:
    """``case.jsonld``: the same facts in the CASE and UCO ontologies.

    Node names are UUIDs derived from the package id, so that a rebuild repeats them.
    """

    def node(kind: str, *names: str) -> str:
        name = "/".join((spec.package_id, kind, *names))
        return (
            f"kb:{kind}-{uuid.uuid5(uuid.NAMESPACE_URL, f'urn:{spec.organisation.domain}:{name}')}"
        )

    def at(moment: datetime) -> dict[str, str]:
        return {"@type": "xsd:dateTime", "@value": utc_text(moment)}

    files: list[dict[str, Any]] = [
        {
            "@id": node("File", original.exhibit.id),
            "@type": "uco-observable:File",
            "uco-core:name": original.exhibit.id,
            "uco-core:hasFacet": [
                {
                    "@id": node("FileFacet", original.exhibit.id),
                    "@type": "uco-observable:FileFacet",
                    "uco-observable:fileName": original.exhibit.original_name,
                    "uco-observable:filePath": original.path,
                    "uco-observable:sizeInBytes": original.exhibit.size,
                },
                {
                    "@id": node("ContentDataFacet", original.exhibit.id),
                    "@type": "uco-observable:ContentDataFacet",
                    "uco-observable:mimeType": original.exhibit.media_type,
                    "uco-observable:sizeInBytes": original.exhibit.size,
                    "uco-observable:hash": [
                        {
                            "@id": node("Hash", original.exhibit.id, method),
                            "@type": "uco-types:Hash",
                            # A plain string: the ontology's vocabularies are lists of strings.
                            "uco-types:hashMethod": method,
                            "uco-types:hashValue": {"@type": "xsd:hexBinary", "@value": value},
                        }
                        for method, value in (
                            ("MD5", original.exhibit.md5.lower()),
                            ("SHA1", original.sha1),
                            ("SHA256", original.sha256),
                            ("SHA512", original.sha512),
                        )
                    ],
                },
            ],
        }
        for original in originals
    ]
    people = [
        {
            "@id": node("Account", account.platform_id),
            "@type": "uco-observable:ObservableObject",
            "uco-core:name": account.display_name or account.platform_id,
            "uco-core:tag": [account.role],
            "uco-core:hasFacet": [
                {
                    "@id": node("AccountFacet", account.platform_id),
                    "@type": "uco-observable:AccountFacet",
                    "uco-observable:accountIdentifier": account.platform_id,
                }
            ],
        }
        for account in spec.accounts
    ]
    organisation = {
        "@id": node("Organization"),
        "@type": "uco-identity:Organization",
        "uco-core:name": spec.organisation.name,
    }
    provenance = {
        "@id": node("ProvenanceRecord"),
        "@type": "case-investigation:ProvenanceRecord",
        "uco-core:description": f"Exhibits of {spec.package_id}",
        "uco-core:objectCreatedTime": at(spec.bagged_at),
        "uco-core:object": [{"@id": entry["@id"]} for entry in files],
    }
    objects = [organisation, *files, *people, *([provenance] if files else [])]
    investigation = {
        "@id": node("Investigation"),
        "@type": "case-investigation:Investigation",
        "uco-core:name": spec.package_id,
        "uco-core:description": f"{spec.case.category}: {spec.case.outcome}",
        "uco-core:objectCreatedTime": at(spec.case.opened_at),
        "uco-core:object": [{"@id": entry["@id"]} for entry in objects],
    }
    return {
        "@context": {
            "kb": f"http://{spec.organisation.domain}/kb/",
            "case-investigation": "https://ontology.caseontology.org/case/investigation/",
            "uco-core": "https://ontology.unifiedcyberontology.org/uco/core/",
            "uco-identity": "https://ontology.unifiedcyberontology.org/uco/identity/",
            "uco-observable": "https://ontology.unifiedcyberontology.org/uco/observable/",
            "uco-types": "https://ontology.unifiedcyberontology.org/uco/types/",
            "xsd": "http://www.w3.org/2001/XMLSchema#",
        },
        "@graph": [investigation, *objects],
    }


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that say something. False, zero and None given on purpose inside lists stay."""
    return {name: value for name, value in fields.items() if value not in ("", None, [], ())}


def _time(moment: datetime | None) -> str:
    return utc_text(moment) if moment is not None else ""


def _json(document: dict[str, Any]) -> bytes:
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    return (text + "\n").encode("utf-8", "backslashreplace")
