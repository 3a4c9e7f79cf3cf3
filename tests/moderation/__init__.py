"""Casework: routing, leases, looking, deciding."""
