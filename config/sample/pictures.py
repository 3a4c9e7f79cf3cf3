"""Drawn pictures for sample data and tests: shapes, gradients and grain, nothing else.

The same seed gives the same picture, so that a listed picture and its near-duplicates can be made anew
wherever they are needed, and no picture file has to be stored.
"""

from __future__ import annotations

import io
import math
import random

from PIL import Image, ImageDraw, ImageFilter

__all__ = ["draw", "encode", "variants"]


def draw(seed: int, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Return an abstract RGB picture of ``size`` (width, height): a slope of colour, hills and shapes.

    Pictures of different seeds are unrelated; those of the same seed in different sizes look alike.
    """
    dice = random.Random(seed)  # noqa: S311 — pictures, not secrets
    # Drawn larger and scaled down, so that edges are soft as in a photograph.
    width, height = size
    canvas = Image.new("RGB", (256, 256))
    _slope(canvas, dice)
    canvas = canvas.resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas, "RGBA")
    for _ in range(dice.randint(2, 4)):
        _hill(pen, dice, width, height)
    for _ in range(dice.randint(16, 24)):
        _shape(pen, dice, width, height)
    return canvas.filter(ImageFilter.GaussianBlur(max(width, height) / 640))


def _colour(dice: random.Random, alpha: int = 255) -> tuple[int, int, int, int]:
    return dice.randrange(256), dice.randrange(256), dice.randrange(256), alpha


def _slope(canvas: Image.Image, dice: random.Random) -> None:
    first, second = _colour(dice)[:3], _colour(dice)[:3]
    angle = dice.uniform(0, 2 * math.pi)
    x, y = math.cos(angle), math.sin(angle)
    mask = Image.new("L", canvas.size)
    mask.putdata(
        [
            int(127.5 + 127.5 * (x * (column - 128) + y * (row - 128)) / 182)
            for row in range(256)
            for column in range(256)
        ]
    )
    canvas.paste(
        Image.composite(
            Image.new("RGB", (256, 256), first), Image.new("RGB", (256, 256), second), mask
        )
    )


def _hill(pen: ImageDraw.ImageDraw, dice: random.Random, width: int, height: int) -> None:
    base, swing = dice.uniform(0.35, 0.85), dice.uniform(0.05, 0.25)
    waves, phase = dice.uniform(0.5, 2.5), dice.uniform(0, 2 * math.pi)
    ridge = [
        (step / 40 * width, (base + swing * math.sin(waves * step / 6 + phase)) * height)
        for step in range(41)
    ]
    pen.polygon([*ridge, (width, height), (0, height)], fill=_colour(dice, dice.randint(150, 255)))


def _shape(pen: ImageDraw.ImageDraw, dice: random.Random, width: int, height: int) -> None:
    x, y = dice.uniform(0, width), dice.uniform(0, height)
    half = dice.uniform(0.04, 0.22) * min(width, height)
    fill = _colour(dice, dice.randint(120, 255))
    match dice.randrange(4):
        case 0:
            pen.ellipse((x - half, y - half * 0.7, x + half, y + half * 0.7), fill=fill)
        case 1:
            pen.rectangle((x - half, y - half, x + half, y + half * 0.6), fill=fill)
        case 2:
            turn, sides = dice.uniform(0, 6.3), dice.randint(3, 7)
            corners = [
                (
                    x + half * math.cos(turn + 2 * math.pi * side / sides),
                    y + half * math.sin(turn + 2 * math.pi * side / sides),
                )
                for side in range(sides)
            ]
            pen.polygon(corners, fill=fill)
        case _:
            line = (x, y, x + dice.uniform(-3, 3) * half, y + dice.uniform(-3, 3) * half)
            pen.line(line, fill=fill, width=max(2, int(half / 4)))


def encode(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    """Return the picture as a file: ``JPEG`` (quality 90 unless told), ``PNG``, ``WEBP``, ``GIF`` …"""
    if format == "JPEG":
        options.setdefault("quality", 90)
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def variants(image: Image.Image) -> dict[str, tuple[bytes, str]]:
    """Return near-duplicates of a picture by name, each as ``(file, media type)``.

    What people do to a picture before they send it on: saved again, made smaller, cropped a little,
    brightened, turned grey, stored in another format.
    """
    width, height = image.size
    trim_x, trim_y = round(width * 0.01), round(height * 0.01)
    cropped = image.crop((trim_x, trim_y, width - trim_x, height - trim_y))
    exif = Image.Exif()
    exif[0x0112] = 6
    on_its_side = image.transpose(Image.Transpose.ROTATE_90)
    return {
        "saved_again": (encode(image, quality=45), "image/jpeg"),
        "smaller": (encode(image.resize((width * 3 // 5, height * 3 // 5))), "image/jpeg"),
        "cropped": (encode(cropped), "image/jpeg"),
        "brighter": (encode(image.point(lambda value: min(255, value * 1.15 + 6))), "image/jpeg"),
        "grey": (encode(image.convert("L")), "image/jpeg"),
        "png": (encode(image, "PNG"), "image/png"),
        "palette_png": (encode(image.quantize(64), "PNG"), "image/png"),
        "webp": (encode(image, "WEBP", quality=70), "image/webp"),
        "gif": (encode(image.quantize(128), "GIF"), "image/gif"),
        "cmyk_jpeg": (encode(image.convert("CMYK")), "image/jpeg"),
        "turned_by_exif": (encode(on_its_side, exif=exif), "image/jpeg"),
    }
