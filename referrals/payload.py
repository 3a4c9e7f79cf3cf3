"""The documents of a package's payload: what people and machines read beside the originals.

Every function turns the description into bytes. JSON is written with sorted keys, so that the same
case state gives the same bytes, and with ASCII escapes off, so that names stay readable.
What does not exist is left out rather than shown empty.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from referrals import bag, message_files, metadata
from referrals.custody import export_chain, export_inclusion, export_lines, utc_text
from referrals.metadata import as_json, known, time_text
from referrals.recipe import recipe

if TYPE_CHECKING:
    from referrals.package.description import Original, PackageSpec

VERIFIER = Path(__file__).parent / "verifier" / "verify_package.py"


def documents(spec: PackageSpec, originals: Sequence[Original]) -> dict[str, bytes]:
    """Every payload file but the originals and the summary, by its path in the bag."""
    root_namespace = f"custody-root@{spec.organisation.domain}"
    found = {
        "data/README.txt": readme(spec).encode(),
        "data/metadata/case.json": as_json(metadata.case(spec)),
        "data/metadata/exhibits.json": as_json(metadata.exhibits(spec, originals)),
        "data/metadata/case.jsonld": as_json(case_graph(spec, originals)),
        "data/custody/audit.jsonl": export_lines(spec.custody),
        "data/custody/audit.chain": export_chain(spec.custody),
        "data/custody/inclusion.json": export_inclusion(
            spec.custody,
            root_signature=spec.custody_root_signature or None,
            namespace=root_namespace if spec.custody_root_signature else None,
        ),
        **({"data/custody/anchor.json": as_json(dict(spec.anchor))} if spec.anchor else {}),
        "data/legal/basis.json": as_json(legal_basis(spec)),
        "data/documentation/verify_package.py": VERIFIER.read_bytes(),
    }
    for name, document, is_there in (
        ("reports", metadata.reports, spec.reports),
        ("accounts", metadata.accounts, spec.accounts),
        ("groups", metadata.groups, spec.groups),
    ):
        if is_there:
            found[f"data/metadata/{name}.json"] = as_json(document(spec))
    for number, conversation in enumerate(spec.conversations, start=1):
        base = f"data/metadata/messages/conversation-{number:04d}"
        found[f"{base}.jsonl"] = message_files.messages_jsonl(spec, conversation)
        found[f"{base}.csv"] = message_files.messages_csv(conversation)
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
        "    data/metadata/messages/    conversation context, JSON Lines and CSV; the CSV is for\n"
        "                               spreadsheets: a cell that begins like a formula (with = + - @,\n"
        "                               also in full width, a tab or a line end, behind white space or\n"
        "                               apostrophes) has one apostrophe added in front. Take that one\n"
        "                               away to undo it; the JSON Lines have every text unchanged\n"
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
    data/metadata/             the case, its reports, exhibits, accounts and groups, and the case in
                               CASE/UCO vocabulary (JSON-LD); "left_out" in case.json says what
                               is known of the case and is not in this package
{conversations}    data/custody/              who did what with this case, as a chain of hashes;
                               anchor.json: our signed statement of where the log ended
    data/legal/                why this was sent to you
    data/documentation/        a script that performs every check below and more; contents.txt: every
                               name in this archive, in its order

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
        header_bytes_more=bag.header_bytes_more(exhibit.size for exhibit in spec.exhibits),
    )


def legal_basis(spec: PackageSpec) -> dict[str, Any]:
    """``basis.json``."""
    basis = spec.legal_basis
    return known(
        {
            "package": spec.package_id,
            "recipient": known(
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
            "approved_at": time_text(basis.approved_at),
        }
    )


def case_graph(spec: PackageSpec, originals: Sequence[Original]) -> dict[str, Any]:
    """``case.jsonld``: the same facts in the CASE and UCO ontologies.

    Node names are UUIDs derived from the package id, so that a rebuild repeats them.
    """

    def node(kind: str, *names: str) -> str:
        name = "/".join((spec.package_id, kind, *names))
        # A platform's id may be any text, a lone surrogate among them, which has no bytes.
        name = name.encode("utf-8", "backslashreplace").decode()
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
