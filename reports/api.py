"""The machine door of intake."""

from ninja import Router

router = Router()
