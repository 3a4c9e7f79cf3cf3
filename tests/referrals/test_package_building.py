"""Building: deterministic, checked twice, flat in memory, and never in clear on a disk."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import VaultDamage
from referrals import bag, package, payload
from tests.referrals.sealing import (
    AGENCY,
    BAGGED_AT,
    ESCROW,
    ID,
    KEY,
    NOTE,
    PICTURE,
    STRANGER,
    Opened,
    check_tar,
    custody,
    exhibit,
    spec,
    tar_of,
)

ROOT = Path(__file__).resolve().parents[2]


def test_the_same_description_gives_the_same_tar_and_another_ciphertext(tmp_path: Path) -> None:
    first = package.build_package(spec(), tmp_path / f"{ID}.tar.age")
    sealed = (tmp_path / first.file_name).read_bytes()
    second = package.build_package(spec(), tmp_path / f"{ID}.tar.age")
    assert first.tar_sha256 == second.tar_sha256
    assert first.sha256 != second.sha256
    assert pyrage.decrypt(sealed, [AGENCY]) == tar_of()


def test_the_order_of_exhibits_in_the_description_does_not_matter_to_their_names() -> None:
    facts = spec()
    turned = spec(exhibits=tuple(reversed(facts.exhibits)))
    first, second = Opened.of(facts).files, Opened.of(turned).files
    media = {path for path in first if path.startswith("data/media")}
    assert {path: first[path] for path in media} == {path: second[path] for path in media}


def test_the_tar_names_no_machine_no_person_and_no_time() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of())) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    for member in members:
        assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (
            *(0, 0, 0),
            *("", ""),
        )
        assert member.mode == (0o755 if member.isdir() else 0o644)


def test_the_package_opens_with_the_agencys_key_and_with_the_escrow_key_only() -> None:
    out = io.BytesIO()
    package.write_package(spec(), out)
    assert pyrage.decrypt(out.getvalue(), [AGENCY]) == pyrage.decrypt(out.getvalue(), [ESCROW])
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(out.getvalue(), [pyrage.x25519.Identity.generate()])


def test_an_ssh_key_of_an_agency_works_as_well(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(STRANGER.to_openssh())
    out = io.BytesIO()
    agency = package.Recipient("", "Agency", (STRANGER.public_key,))
    package.write_package(spec(recipient=agency), out)
    identity = pyrage.ssh.Identity.from_buffer(key.read_bytes())
    assert ID.encode() in pyrage.decrypt(out.getvalue(), [identity])


def test_the_package_holds_what_the_layout_promises_and_no_more() -> None:
    assert set(Opened.of().files) == {
        "bagit.txt",
        "bag-info.txt",
        "manifest-sha256.txt",
        "manifest-sha512.txt",
        "tagmanifest-sha256.txt",
        "tagmanifest-sha512.txt",
        "signatures/tagmanifest-sha512.txt.sig",
        "data/README.txt",
        "data/summary.pdf",
        "data/media/EX-0001.bin",
        "data/media/EX-0002.bin",
        "data/metadata/exhibits.json",
        "data/metadata/case.json",
        "data/metadata/reports.json",
        "data/metadata/accounts.json",
        "data/metadata/groups.json",
        "data/metadata/case.jsonld",
        "data/metadata/messages/conversation-0001.jsonl",
        "data/metadata/messages/conversation-0001.csv",
        "data/custody/audit.jsonl",
        "data/custody/audit.chain",
        "data/custody/inclusion.json",
        "data/legal/basis.json",
        "data/documentation/verify_package.py",
        "data/documentation/contents.txt",
    }


def test_what_does_not_exist_is_left_out_rather_than_shown_empty(tmp_path: Path) -> None:
    bare = spec(exhibits=(), accounts=(), conversations=())
    files = Opened.of(bare).files
    assert not [path for path in files if "messages" in path or "accounts" in path]
    assert "messages" not in files["data/README.txt"].decode()
    assert check_tar(tar_of(bare), tmp_path).code == 3


def test_originals_go_in_as_they_came() -> None:
    files = Opened.of().files
    assert files["data/media/EX-0001.bin"] == PICTURE
    assert files["data/media/EX-0002.bin"] == NOTE
    assert files["data/documentation/verify_package.py"] == payload.VERIFIER.read_bytes()


def test_whether_a_person_viewed_an_exhibit_is_computed_from_the_reveals() -> None:
    document = json.loads(Opened.of().files["data/metadata/exhibits.json"])
    first, second = document["exhibits"]
    assert first["viewed_by_a_person"] is True
    assert first["viewing"]["first_viewed_at"] == "2026-03-02T11:05:09Z"
    assert first["viewing"]["reveals"][0]["person"] == "R-17"
    assert second["viewed_by_a_person"] is False
    assert first["viewing"]["words"] == "Viewed by R-17, 11.5 s"
    assert second["viewing"] == {
        "computed_from": "0 entries of the log of reveals",
        "words": "Not opened",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"served_at": None},
        {"closed_at": None},
        {"painted_ms": 0},
        {"painted_ms": 999, "shown_seconds": 60.0},
    ],
)
def test_a_reveal_that_painted_nothing_or_too_short_is_not_a_viewing(
    change: dict[str, Any],
) -> None:
    reveal = replace(spec().exhibits[0].reveals[0], **change)
    seen = spec(exhibits=(exhibit(1, PICTURE, reveals=(reveal,)),), conversations=())
    document = json.loads(Opened.of(seen).files["data/metadata/exhibits.json"])
    assert document["exhibits"][0]["viewed_by_a_person"] is False
    assert len(document["exhibits"][0]["viewing"]["reveals"]) == 1


def test_an_animation_is_not_said_to_have_been_viewed() -> None:
    moving = replace(spec().exhibits[0], is_animation=True)
    document = json.loads(
        Opened.of(spec(exhibits=(moving,), conversations=())).files["data/metadata/exhibits.json"]
    )
    (told,) = document["exhibits"]
    assert told["viewed_by_a_person"] is False
    assert told["viewing"]["is_animation"] is True
    assert told["viewing"]["words"].startswith("Viewed in part by R-17, 11.5 s of an animation (")


# --- Damage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (NOTE[:-1] + b"X", "sha256"),
        (NOTE[:-1], "bytes"),
        (NOTE + b"X", "more bytes"),
        (b"", "0 bytes"),
    ],
    ids=["one wrong byte", "one byte short", "one byte long", "empty"],
)
def test_one_wrong_byte_stops_the_build_and_names_the_exhibit(
    found: bytes, said: str, tmp_path: Path
) -> None:
    damaged = exhibit(2, NOTE, original_name="two.png", open=lambda: io.BytesIO(found))
    with pytest.raises(package.ExhibitDamaged) as caught:
        package.build_package(
            spec(exhibits=(exhibit(1, PICTURE), damaged), conversations=()),
            tmp_path / f"{ID}.tar.age",
        )
    assert caught.value.exhibit_id == "EX-0002"
    assert caught.value.name == "two.png"
    assert "EX-0002" in str(caught.value)
    assert said in caught.value.found
    assert caught.value.expected != caught.value.found
    assert "two.png" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_md5_alone_stops_the_build() -> None:
    wrong = exhibit(1, PICTURE, md5="0" * 32)
    with pytest.raises(package.ExhibitDamaged, match="md5"):
        tar_of(spec(exhibits=(wrong,), conversations=()))


def test_an_original_that_changes_between_the_passes_stops_the_build(tmp_path: Path) -> None:
    reads = [PICTURE, PICTURE[:-1] + b"X"]
    changing = exhibit(1, PICTURE, open=lambda: io.BytesIO(reads.pop(0)))
    with pytest.raises(package.ExhibitDamaged, match="EX-0001"):
        package.build_package(
            spec(exhibits=(changing,), conversations=()), tmp_path / f"{ID}.tar.age"
        )
    assert list(tmp_path.iterdir()) == []


def test_damage_in_the_vault_names_the_exhibit_and_other_faults_pass_through() -> None:
    def raising(error: Exception) -> Callable[[], Any]:
        def opener() -> Any:
            raise error

        return opener

    for error, expected in (
        (VaultDamage("blob", "chunk 3 does not decrypt"), package.ExhibitUnreadable),
        (ConnectionError("the store is away"), ConnectionError),
    ):
        broken = exhibit(1, PICTURE, open=raising(error))
        with pytest.raises(expected) as caught:
            tar_of(spec(exhibits=(broken,), conversations=()))
        if expected is package.ExhibitUnreadable:
            assert caught.value.__cause__ is error
            assert "EX-0001 cannot be read: chunk 3 does not decrypt" in str(caught.value)


def test_a_fault_while_sealing_passes_through_the_encryption_as_it_is(tmp_path: Path) -> None:
    class TakenOver(Exception):
        pass

    class Stream(io.BytesIO):
        calls = 0

        def read(self, size: int | None = -1) -> bytes:
            Stream.calls += 1
            if Stream.calls > 2:
                raise TakenOver
            return super().read(size)

    stopped = exhibit(1, PICTURE, open=lambda: Stream(PICTURE))
    with pytest.raises(TakenOver):
        package.build_package(
            spec(exhibits=(stopped,), conversations=()), tmp_path / f"{ID}.tar.age"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_oserror() -> None:
    class Full(io.BytesIO):
        def write(self, _data: Any) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        package.write_package(spec(), Full())


def test_every_stream_is_closed() -> None:
    opened: list[io.BytesIO] = []

    def opener() -> io.BytesIO:
        opened.append(io.BytesIO(PICTURE))
        return opened[-1]

    package.write_package(
        spec(exhibits=(exhibit(1, PICTURE, open=opener),), conversations=()), io.BytesIO()
    )
    assert len(opened) == 2
    assert all(stream.closed for stream in opened)


# --- Clear bytes and memory ------------------------------------------------------------------------

WATCHED_BUILD = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.referrals.sealing import ID, spec
from referrals import package
package.build_package(spec(), Path({folder!r}) / f"{{ID}}.tar.age")
"""


def test_a_build_opens_no_file_for_writing_but_the_sealed_one(tmp_path: Path) -> None:
    """Watched from inside by an audit hook, which sees every open of the process's Python code."""
    script = WATCHED_BUILD.format(root=str(ROOT), folder=str(tmp_path))
    watched = (
        "import sys\nopened = []\n"
        "def hook(event, arguments):\n"
        "    if event == 'open' and isinstance(arguments[1], str) and set('wax+') & set(arguments[1]):\n"
        "        opened.append(str(arguments[0]))\n"
        "sys.dont_write_bytecode = True\nsys.addaudithook(hook)\n"
        f"{script}\nprint('\\n'.join(opened))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", watched],
        capture_output=True,
        check=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    names = {Path(line).name for line in run.stdout.split()}
    assert names == {f"{ID}.tar.age.part", f"{ID}.tar.age.sha256"}
    for path in tmp_path.iterdir():
        assert PICTURE[:60] not in path.read_bytes()
        assert NOTE[:60] not in path.read_bytes()


def test_memory_does_not_grow_with_the_exhibits() -> None:
    def peak(size: int) -> float:
        run = subprocess.run(
            [sys.executable, str(ROOT / "benchmarks" / "packages.py"), "--size", str(size)],
            capture_output=True,
            check=True,
            text=True,
        )
        return float(json.loads(run.stdout)["peak_mb_after"])

    small, large = peak(1_000_000), peak(120_000_000)
    assert large - small < 16


def test_an_original_of_nine_gigabytes_fits_the_tar_format() -> None:
    from referrals.verifier.verify_package import tar_members

    size = 9 << 30
    entry = bag.Entry("data/media/EX-0001.bin", size, lambda: iter(()))
    stream = bag.tar_stream(ID, [entry])
    headers = [next(stream) for _ in range(4)]
    members = tar_members(io.BytesIO(b"".join(headers)))
    found = [next(members) for _ in range(4)]
    assert (found[-1].path, found[-1].size) == (f"{ID}/data/media/EX-0001.bin", size)


# --- What cannot become a package ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reference": "ESC-26-1"}, "reference looks like"),
        ({"reference": "../ESC-2026-000123"}, "reference looks like"),
        ({"revision": 0}, "revision is a number"),
        ({"revision": 2}, "must say that it supersedes"),
        ({"supersedes": "ESC-2026-000122-r1"}, "supersedes nothing"),
        ({"escrow": ""}, "escrow key is missing"),
        ({"escrow": "age1nonsense"}, "not an age public key"),
        ({"recipient": package.Recipient("", "Agency", ())}, "no age key"),
        ({"recipient": package.Recipient("", " ", ("age1x",))}, "no name"),
        ({"recipient": package.Recipient("", "A", ("ssh-rsa AAAA",))}, "not an age public key"),
        ({"legal_basis": package.LegalBasis(" ")}, "legal basis is missing"),
        (
            {"legal_basis": package.LegalBasis("x", approved_by="L-1", drafted_by="L-1")},
            "approver must not be the author",
        ),
        ({"bagged_at": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001
        ({"exhibits": (exhibit(1, NOTE), exhibit(1, NOTE))}, "same number"),
        ({"exhibits": (exhibit(1, NOTE, id="../../x"),)}, "exhibit number looks like"),
        ({"accounts": (package.Account("a", "guilty"),)}, "role is one of"),
        ({"exhibits": ()}, "exhibits that are not in the package"),
    ],
)
def test_a_description_that_cannot_become_a_package_says_why(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(package.PackageRefused, match=said):
        package.write_package(spec(**changes), io.BytesIO())


def test_a_signer_of_another_domain_or_with_a_bad_signature_is_refused() -> None:
    class Liar:
        principal = KEY.principal
        public_key = KEY.public_key

        def sign(self, message: bytes, *, namespace: str) -> str:
            return KEY.sign(message + b"!", namespace=namespace)

    with pytest.raises(package.PackageRefused, match="does not hold"):
        tar_of(spec(signer=Liar()))
    organisation = replace(spec().organisation, domain="elsewhere.example")
    with pytest.raises(package.PackageRefused, match="does not belong"):
        tar_of(spec(organisation=organisation))


def test_a_custody_log_that_was_cut_stops_the_build() -> None:
    from referrals.custody import CustodyBroken

    log = custody()
    with pytest.raises(CustodyBroken):
        tar_of(spec(custody=replace(log, lines=log.lines[:-1])))


def test_the_file_must_have_the_packages_name(tmp_path: Path) -> None:
    with pytest.raises(package.PackageRefused, match="must be named"):
        package.build_package(spec(), tmp_path / "other.tar.age")


# --- Hostile text ----------------------------------------------------------------------------------


def test_a_name_cannot_write_a_header_of_its_own(tmp_path: Path) -> None:
    agency = replace(
        spec().recipient,
        agency="Agency\r\nRecipient: Somebody\u2028X: y\x85Z: z",
        name="\u202eevil\x00",
    )
    made = spec(recipient=agency)
    info = Opened.of(made).files["bag-info.txt"].decode()
    assert [line for line in info.split("\n") if line.startswith("Recipient:")] == [
        "Recipient: Agency Recipient: Somebody X: y Z: z, evil"
    ]
    assert check_tar(tar_of(made), tmp_path).code == 3


HOSTILE = st.text(
    alphabet=st.one_of(
        st.characters(), st.sampled_from("\n\r\x00\u2028\u202e\\#[]$*@'\"=<>/\ud800")
    ),
    max_size=60,
)


@settings(max_examples=25, deadline=None)
@given(name=HOSTILE, text=HOSTILE)
def test_any_text_at_all_gives_a_package_that_verifies(
    name: str, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from referrals.verifier.verify_package import AMBER, Options, verify
    from tests.referrals.sealing import signers

    facts = spec()
    made = spec(
        exhibits=(exhibit(1, NOTE, original_name=name, relevance=text, source_url=text),),
        accounts=(
            package.Account(
                text or "a",
                "suspect",
                display_name=name,
                identifiers=(package.Identifier(name, text, {text: name}),),
                memberships=(package.Membership(text, name, text, name, BAGGED_AT),),
                earlier=(package.Earlier(name, text, BAGGED_AT),),
            ),
        ),
        groups=(package.Group(name, text, text, links=(package.Link(text),), members=()),),
        reports=(package.Report(name, text, name, text, BAGGED_AT, about_then={text: name}),),
        left_out=(text,),
        conversations=(
            package.Conversation(name, text, (package.Message(name, text, None, text, (), True),)),
        ),
        case=replace(facts.case, narrative=text, subject=name),
        legal_basis=package.LegalBasis(f"basis {text}"),
    )
    path = tmp_path_factory.mktemp("hostile") / "p.tar"
    path.write_bytes(tar_of(made))
    report = verify(str(path), Options(allowed_signers=signers(), use_ssh_keygen=False))
    assert report.verdict == AMBER, report.failures


def test_a_message_cannot_become_a_formula_in_a_spreadsheet() -> None:
    files = Opened.of().files
    rows = list(
        csv.reader(
            io.StringIO(
                files["data/metadata/messages/conversation-0001.csv"].decode("utf-8-sig"),
                newline="",
            )
        )
    )
    assert rows[2][rows[0].index("text")] == '\'=HYPERLINK("x")'
    lines = files["data/metadata/messages/conversation-0001.jsonl"].decode().splitlines()
    assert json.loads(lines[2])["text"] == '=HYPERLINK("x")'


def test_the_case_graph_is_json_ld_with_one_node_per_thing() -> None:
    graph = json.loads(Opened.of().files["data/metadata/case.jsonld"])
    nodes = graph["@graph"]
    names = [node["@id"] for node in nodes]
    assert len(set(names)) == len(names)
    kinds = [node["@type"] for node in nodes]
    assert kinds.count("uco-observable:File") == 2
    prefixes = set(graph["@context"])
    assert {kind.split(":")[0] for kind in kinds} <= prefixes
    referred = {entry["@id"] for entry in nodes[0]["uco-core:object"]}
    assert referred == set(names[1:])
    assert BAGGED_AT.strftime("%Y-%m-%dT%H:%M:%SZ") in json.dumps(graph)


def test_the_case_communitys_own_validator_finds_nothing(tmp_path: Path) -> None:
    odd = exhibit(1, b"x", original_name='new\nline "and" \u202e \\ #?%', media_type="")
    named = package.Account("a b/c#\u200b?", "not said", display_name="\u3164")
    bare: dict[str, Any] = {"exhibits": (), "accounts": (), "conversations": ()}
    described = {
        "full": spec(),
        # Each of its own reference: nodes of one name would be one node.
        "bare": spec(reference="ESC-2026-000124", **bare),
        "odd": spec(
            reference="ESC-2026-000125", **bare | {"exhibits": (odd,), "accounts": (named,)}
        ),
    }
    names = []
    for name, description in described.items():
        path = tmp_path / f"{name}.jsonld"
        path.write_bytes(Opened.of(description).files["data/metadata/case.jsonld"])
        names.append(path.name)
    done = subprocess.run(
        [str(Path(sys.executable).parent / "case_validate"), *names],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["Validation", "Report", "Conforms:", "True"]
