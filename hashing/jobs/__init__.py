"""Background work of flagging, by id. Each noun has a module; settings name the functions here."""

from hashing.jobs.scans import scan_item, sweep_items

__all__ = ["scan_item", "sweep_items"]
