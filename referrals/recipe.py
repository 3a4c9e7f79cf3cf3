"""The recipe with stock tools by which anybody opens and verifies a package, and its only source.

The package's ``README.txt``, ``VERIFY.txt`` of the demo and ``docs/legal.md`` hold this text; tests compare. It
runs as a script in any POSIX shell and as lines that somebody pastes: one command in parentheses, so that the first
step that fails, or whose tool is missing, ends it with status 1 and a sentence. "VERIFIED" is its last word or it
did not verify.

Why each step is there. What an archive holds is looked at before it is unpacked: an entry beside the package's own
folder could replace ``allowed_signers``. The folder must be new: one from before would be verified in its place.
The signed ``bag-info.txt`` must name this package: an old package in a new folder is signed as well. Manifests
say nothing of files that they do not name, so all files are counted: those of both manifests, the two tag manifests
and what lies in ``signatures/``.
"""

from __future__ import annotations

_STEPS = r"""
(
no() { echo "NOT VERIFIED: $1" >&2; exit 1; }
sha256sum -c @package.tar.age.sha256 || no "the file is not the one that its checksum names"
age -d -i @identity -o p.tar @package.tar.age || no "the file does not open with this key, or age is missing"
test $(tar -tf p.tar | grep -c '^@package/\([A-Za-z0-9][A-Za-z0-9._-]*/\{0,1\}\)*$') -eq $(tar -tf p.tar | wc -l) || no "the archive holds a name that no package has"
test $(tar -tvf p.tar | grep -c '^[-d]') -eq $(tar -tf p.tar | wc -l) || no "the archive holds a link or device"
mkdir @package || no "move the folder @package away: the package must be unpacked into a new one"
tar -xf p.tar && cd ./@package || no "the archive cannot be unpacked"
ssh-keygen -Y verify -f ../@allowed_signers -I @principal -n @namespace -s signatures/tagmanifest-sha512.txt.sig < tagmanifest-sha512.txt || no "the signature is not the sender's"
grep -x 'External-Identifier: @package' bag-info.txt || no "what was signed is another package"
sha512sum --quiet -c tagmanifest-sha512.txt || no "a manifest was changed"
sha512sum --quiet -c manifest-sha512.txt || no "a file was changed or is missing"
sha256sum $(cut -c131- tagmanifest-sha512.txt) | cmp - tagmanifest-sha256.txt || no "tagmanifest-sha256.txt was changed"
test $(find . ! -type d | wc -l) -eq $(($(cat manifest-sha512.txt tagmanifest-sha512.txt | wc -l) + @unlisted)) || no "a file was added"
@time
echo "VERIFIED: @package is complete, unchanged and signed by @principal"
)
"""

_TIME = (
    "openssl ts -verify -data signatures/tagmanifest-sha512.txt.sig -in signatures/tagmanifest-sha512.txt.sig.tsr"
    ' -CAfile ../tsa-ca.pem || no "the trusted time does not belong to this signature"\n'
)


def recipe(
    package: str,
    *,
    principal: str,
    namespace: str,
    identity: str = "our-agency.key",
    allowed_signers: str = "allowed_signers",
    timestamped: bool = False,
) -> str:
    """Return the commands for one package, one step a line, ending with a line end.

    ``identity`` and ``allowed_signers`` are names of files beside the package, and so is ``tsa-ca.pem`` for a
    package with a token of a time authority (``timestamped``).
    """
    # Longer names first: "@package" must not eat the beginning of another one.
    values = {
        "@time\n": _TIME if timestamped else "",
        "@allowed_signers": allowed_signers,
        "@namespace": namespace,
        "@principal": principal,
        "@identity": identity,
        "@unlisted": "4" if timestamped else "3",
        "@package": package,
    }
    text = _STEPS.lstrip()
    for name, value in values.items():
        text = text.replace(name, value)
    return text
