"""The API's own description: one place for an endpoint to say what it takes, one document, one page from it.

``describing`` is what endpoints use, ``codes`` what refusals are called, ``document`` finishes ninja's OpenAPI,
``page`` shows it. The page is rendered on the server: viewers that build themselves in the browser need inline
scripts, which the content policy refuses on purpose.
"""

from reports.reference.codes import CODES, ProblemCode
from reports.reference.describing import (
    IDEMPOTENCY_PARAMETER,
    MULTIPART,
    NDJSON,
    body_of,
    described,
    webhook,
)

__all__ = [
    "CODES",
    "IDEMPOTENCY_PARAMETER",
    "MULTIPART",
    "NDJSON",
    "ProblemCode",
    "body_of",
    "described",
    "webhook",
]
