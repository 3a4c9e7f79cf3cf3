"""The sample lists: digests of drawn pictures and marker words."""

from __future__ import annotations

import io

from config.sample import content
from config.sample.pictures import draw, encode
from core.audit import SYSTEM
from hashing import actions, digests, images
from hashing.models import Category, HashList, TermList

LISTS = [
    ("sample-known", "Sample list of known pictures", "Own reviews", content.LISTED_SEEDS),
    ("sample-hotline", "Sample hotline's list", "Sample hotline", content.NGO_SEEDS),
]


def rows_of(seed: int) -> list[str]:
    """Return the CSV rows of one drawn picture: exact and perceptual digests."""
    file = encode(draw(seed))
    whole = digests.of_file(io.BytesIO(file))
    frame = images.digest(file).digests[0]
    note = f"drawn picture {seed}"
    return [
        f"md5,{whole.md5},{note}",
        f"sha256,{whole.sha256},{note}",
        f"pdq,{frame.pdq},{note}",
        f"phash,{frame.phash},{note}",
    ]


def load() -> str:
    """Create the lists that are missing. Returns what there is now, in words."""
    for slug, name, origin, seeds in LISTS:
        if HashList.objects.filter(slug=slug).exists():
            continue
        hash_list = actions.create_hash_list(
            slug=slug,
            name=name,
            category=Category.CSAM_KNOWN,
            origin=origin,
            description="Digests of pictures that this installation drew itself.",
            actor=SYSTEM,
        )
        rows = ["algorithm,value,note", *(row for seed in seeds for row in rows_of(seed))]
        text = "\n".join(rows).encode()
        actions.import_csv(hash_list, io.BytesIO(text), file_name=f"{slug}.csv", actor=SYSTEM)
    for slug, (category, terms) in content.MARKERS.items():
        if not TermList.objects.filter(slug=slug).exists():
            actions.create_term_list(
                slug=slug,
                name=slug.replace("-", " ").capitalize(),
                category=category,
                description="Invented marker words.",
                terms=terms,
                actor=SYSTEM,
            )
    return f"{HashList.objects.count()} hash lists and {TermList.objects.count()} text rules"
