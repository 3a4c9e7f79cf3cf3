"""Pages of the hash lists and the text rules."""
