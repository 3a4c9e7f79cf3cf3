"""A detector for Holdfast: pictures of almost one colour. Needs nothing of Holdfast to be imported."""

import numpy as np


class OneColour:
    """Made once in a process of its own; ``look`` is called for each item."""

    label = "One colour"
    kinds = ("image",)
    categories = ("spam_other",)
    thresholds = {"spam_other": 0.9}
    needs = {"seconds": 2.0, "memory_mb": 256}
    card = {
        "summary": "Finds pictures that are almost one colour, as senders use them to fill a quota.",
        "source": "The example of Holdfast's documentation.",
        "licence": "MIT-0",
        "measured": "On drawn pictures only.",
        "limits": ["A photograph of a clear sky is found too."],
    }
    settings = (
        {
            "name": "tolerance",
            "label": "Tolerance",
            "kind": "int",
            "default": 8,
            "minimum": 0,
            "maximum": 128,
            "help": "How far each of red, green and blue may be from the middle one, of 255.",
        },
    )

    def look(self, item, settings):
        """Return the results for one item: a dictionary each, none when there is nothing to say."""
        share = max(self._share(frame, settings["tolerance"]) for frame in item["frames"])
        label = f"{share:.0%} of it is one colour"
        return [{"category": "spam_other", "score": float(share), "label": label}]

    def _share(self, frame, tolerance):
        pixels = np.frombuffer(frame.rgb, np.uint8).reshape(-1, 3).astype(np.int16)
        return (np.abs(pixels - np.median(pixels, axis=0)) <= tolerance).all(axis=1).mean()
