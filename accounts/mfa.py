"""How allauth keeps authenticators here: secrets sealed with the master key ring."""

from __future__ import annotations

import base64
from io import BytesIO

from allauth.mfa.adapter import DefaultMFAAdapter

from core.crypto import seal, unseal

CONTEXT = "accounts.second-factor"


class SealedMFAAdapter(DefaultMFAAdapter):
    """Seals TOTP secrets and recovery seeds, so that a copy of the database opens no session."""

    def encrypt(self, text: str) -> str:
        """Return ``text`` sealed, as base64 for allauth's JSON column."""
        return base64.b64encode(seal(text.encode(), CONTEXT)).decode("ascii")

    def decrypt(self, encrypted_text: str) -> str:
        """Return what ``encrypt`` sealed. Raises core.crypto.Unsealable when it was tampered with."""
        return unseal(base64.b64decode(encrypted_text), CONTEXT).decode()

    def build_totp_svg(self, url: str) -> str:
        """Return the QR code as an SVG element without inline style, on white whatever the theme."""
        import qrcode
        from qrcode.image.svg import SvgPathFillImage

        out = BytesIO()
        qrcode.make(url, image_factory=SvgPathFillImage, border=2).save(out)
        svg = out.getvalue().decode()
        return svg[svg.index("<svg") :]
