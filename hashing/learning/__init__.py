"""Learning to recognise texts from what people decided. Values in, values out; no database, no clock.

``features`` reads a text, ``fitting`` trains, ``model`` scores, explains and stores, ``splitting`` keeps the
figures honest, ``figures`` computes them, ``drift`` compares distributions, ``plots`` draws.
"""
