"""The closed sets of words that every table of flagging uses."""

from __future__ import annotations

from django.db import models


class Algorithm(models.TextChoices):
    MD5 = "md5", "MD5"
    SHA1 = "sha1", "SHA-1"
    SHA256 = "sha256", "SHA-256"
    PDQ = "pdq", "PDQ"
    PHASH = "phash", "pHash (imagehash)"
    DHASH = "dhash", "dHash (imagehash)"
    WHASH = "whash", "wHash (imagehash)"


class Category(models.TextChoices):
    """What a list, a rule or a case is about. Stable keys; the wording may change."""

    CSAM_KNOWN = "csam_known", "Known abuse imagery"
    CSAM_SUSPECTED = "csam_suspected", "Suspected abuse imagery"
    GROOMING = "grooming", "Grooming and solicitation"
    HARMFUL_GROUP = "harmful_group", "Harmful group"
    SPAM_OTHER = "spam_other", "Spam and other"
