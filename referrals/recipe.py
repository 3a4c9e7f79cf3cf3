"""The recipe with stock tools by which anybody opens and verifies a package, and its only source.

The package's ``README.txt``, ``VERIFY.txt`` of the demo and ``docs/legal.md`` hold this text; tests compare. It
runs as a script in any POSIX shell and as lines that somebody pastes: one command in parentheses, so that the first
step that fails, or whose tool is missing, ends it with status 1 and a sentence. "VERIFIED" is its last word or it
did not verify.

Why each step is there. The checksum beside the package must be exactly its line: one that names another file proves
nothing. What an archive holds is looked at before it is unpacked: an entry beside the package's own folder could
replace ``allowed_signers``. The folder must be new: one from before would be verified in its place. ``ssh-keygen``
ignores what follows a signature, and takes other white space for its line ends, so its length and lines are
compared. The signed ``bag-info.txt`` must name this package: an old package in a new folder is signed as well.
Manifests say nothing of files that they do not name, of folders, and of a name that comes twice, so the archive must
hold what the signed ``contents.txt`` lists, in that order. No reader shows what an archive hides behind its end, in
extended headers or in padding: so its bytes other than zero must be those of its files, its names and
`bag.HEADER_BYTES` for each entry, and its length that of their blocks.

Slack that remains for the script alone, which compares every header byte by byte: a time in 1970; and a number that
is written with fewer zeros, so that as many other bytes may stand where no reader looks.
"""

from __future__ import annotations

from referrals import bag, sshsig

_STEPS = r"""
(
LC_ALL=C TZ=UTC0; export LC_ALL TZ
no() { echo "NOT VERIFIED: $1" >&2; exit 1; }
sha256sum @package.tar.age | cmp - @package.tar.age.sha256 || no "the file is not the one that its checksum names"
age -d -i @identity -o p.tar @package.tar.age || no "the file does not open with this key, or age is missing"
test $(tar -tf p.tar | grep -c '^@package/\([A-Za-z0-9][A-Za-z0-9._-]*/\{0,1\}\)*$') -eq $(tar -tf p.tar | wc -l) || no "the archive holds a name that no package has"
test $(tar -tvf p.tar | grep -cE '^(drwxr-xr-x|-rw-r--r--) +0[ /].* 1970') -eq $(tar -tf p.tar | wc -l) || no "the archive holds a link, a device, or a file with an owner, rights or a date"
mkdir @package || no "move the folder @package away: the package must be unpacked into a new one"
tar -xf p.tar && cd ./@package || no "the archive cannot be unpacked"
ssh-keygen -Y verify -f ../@allowed_signers -I @principal -n @namespace -s signatures/tagmanifest-sha512.txt.sig < tagmanifest-sha512.txt || no "the signature is not the sender's"
test $(wc -c < signatures/tagmanifest-sha512.txt.sig) -eq @signature_size || no "something was added to the signature"
test $(grep -cE '^(-----(BEGIN|END) SSH SIGNATURE-----|[A-Za-z0-9+/=]{70}|[A-Za-z0-9+/=]{@signature_last})$' signatures/tagmanifest-sha512.txt.sig) -eq @signature_lines || no "the lines of the signature were changed"
grep -x 'External-Identifier: @package' bag-info.txt || no "what was signed is another package"
sha512sum -c tagmanifest-sha512.txt || no "a manifest was changed"
sha512sum -c manifest-sha512.txt > ../checked.txt || no "a file was changed or is missing (checked.txt names it)"
sha256sum $(cut -c131- tagmanifest-sha512.txt) | cmp - tagmanifest-sha256.txt || no "tagmanifest-sha256.txt was changed"
tar -tf ../p.tar | cmp - data/documentation/contents.txt || no "the archive holds a name twice, or one that the sender did not list"
test $(tr -d '\000' < ../p.tar | wc -c) -eq $(($(find . -type f -exec cat {} + | tr -d '\000' | wc -c) + $(tar -tf ../p.tar | tr -d '\n' | wc -c) + @header_bytes * $(tar -tf ../p.tar | wc -l)@more)) || no "the archive hides something behind or between its files"
test $(wc -c < ../p.tar) -eq $((512 * ($(find . -type f -exec wc -c {} + | awk '$2 != "total" { blocks += int(($1 + 511) / 512) } END { print blocks }') + $(tar -tf ../p.tar | wc -l) + 2))) || no "the archive does not end where its files end"
@time
echo "VERIFIED: @package is complete, unchanged and signed by @principal"
)
"""

_TIME = r"""
openssl ts -verify -data signatures/tagmanifest-sha512.txt.sig -in signatures/tagmanifest-sha512.txt.sig.tsr -CAfile ../tsa-ca.pem || no "the trusted time does not belong to this signature"
openssl ts -reply -in signatures/tagmanifest-sha512.txt.sig.tsr -out - | cmp - signatures/tagmanifest-sha512.txt.sig.tsr || no "something was added to the trusted time"
""".lstrip()

_NO_TIME = r"""
test ! -e signatures/tagmanifest-sha512.txt.sig.tsr || no "the package has a trusted time: use the recipe of its README.txt"
""".lstrip()


def recipe(
    package: str,
    *,
    principal: str,
    namespace: str,
    identity: str = "our-agency.key",
    allowed_signers: str = "allowed_signers",
    timestamped: bool = False,
    header_bytes_more: int = 0,
) -> str:
    """Return the commands for one package, one step a line, ending with a line end.

    ``identity`` and ``allowed_signers`` are names of files beside the package, and so is ``tsa-ca.pem`` for a
    package with a token of a time authority (``timestamped``). ``header_bytes_more`` is what the headers of very large
    files have beyond others (`bag.header_bytes_more`).
    """
    lines, last = sshsig.armoured_lines(namespace)
    # Longer names first: "@package" must not eat the beginning of another one.
    values = {
        "@time\n": _TIME if timestamped else _NO_TIME,
        "@allowed_signers": allowed_signers,
        "@namespace": namespace,
        "@principal": principal,
        "@identity": identity,
        "@signature_last": str(last),
        "@signature_lines": str(lines),
        "@signature_size": str(sshsig.armoured_size(namespace)),
        "@header_bytes": str(bag.HEADER_BYTES),
        "@more": f" + {header_bytes_more}" if header_bytes_more else "",
        "@package": package,
    }
    text = _STEPS.lstrip()
    for name, value in values.items():
        text = text.replace(name, value)
    return text
