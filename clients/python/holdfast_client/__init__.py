"""A client of the Holdfast API. Begin with ``Holdfast(address, key)``; receive with ``webhooks.verify``."""

from holdfast_client import webhooks
from holdfast_client.batches import BatchResult, LineResult
from holdfast_client.client import Holdfast
from holdfast_client.files import File
from holdfast_client.problems import NotReached, Problem
from holdfast_client.transport import Patience

__all__ = [
    "BatchResult",
    "File",
    "Holdfast",
    "LineResult",
    "NotReached",
    "Patience",
    "Problem",
    "webhooks",
]
