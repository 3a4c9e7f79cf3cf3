"""What optional detectors cost: the nudity model, and keeping a plug-in in a process of its own.

    python benchmarks/detectors.py [--quick] [--json]

One core, no database. Measured are: the model with its preparation on pixels that are decoded already; the
extra for pixels over digests alone; the documentation's example plug-in called in this process and in its own
(the difference is the price of isolation: 768 KB of pixels through a pipe and JSON back), and a plug-in that
does nothing with a short text; starting a plug-in; and counting a run for the figures of the detectors page.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
EXAMPLE = REPOSITORY / "docs" / "examples" / "holdfast-plugin-example"
sys.path[0] = str(REPOSITORY)  # The folder of this script holds a packaging.py.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

IDLE = """
class Idle:
    label, kinds, categories = "Idle", ("text",), ("spam_other",)
    card = {"summary": "Does nothing."}

    def look(self, item, settings):
        return []
"""


def timed(work: Callable[[], object], times: int) -> tuple[float, float, float]:
    """Return the least, the median and the 95th percentile of a call, in ms; the first is not counted.

    The least is what the work itself costs when nothing else runs on the machine.
    """
    work()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return min(taken), statistics.median(taken), sorted(taken)[int(len(taken) * 0.95)]


def measure(*, quick: bool) -> list[dict[str, Any]]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        os.environ |= {
            "HOLDFAST_TESTING": "1",
            "HOLDFAST_VAR": folder,
            "HOLDFAST_PLUGIN_PATH": f"{folder},{EXAMPLE}",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        import django

        django.setup()
        _install(Path(folder))
        from hashing import plugins

        try:
            return [*_nudity(quick=quick), *_plugins(quick=quick), _counting()]
        finally:
            plugins.stop_all()


def _install(folder: Path) -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    entries = project["entry-points"]["holdfast.detectors"] | {"idle": "idle_plugin:Idle"}
    info = folder / "bench-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench\nVersion: 1\n")
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[holdfast.detectors]\n{lines}")
    (folder / "idle_plugin.py").write_text(IDLE)


def _nudity(*, quick: bool) -> list[dict[str, Any]]:
    from benchmarks.photos import photographs
    from hashing import digests, images
    from hashing.detectors.nudity import score_of

    data = photographs(1, (1024, 1024))[0]
    pixels = images.decode(data).frames[0].pixels
    times = 10 if quick else 60
    rows = [
        row("nudity: model and preparation", *timed(lambda: score_of(pixels), times)),
        row("decode 1024 px to digests", *timed(lambda: images.digest(data), times)),
        row(
            "decode 1024 px to digests and pixels",
            *timed(lambda: images.decode(data, algorithms=digests.USUAL), times),
        ),
    ]
    images.stop()
    return rows


def _plugins(*, quick: bool) -> list[dict[str, Any]]:
    from benchmarks.photos import photographs
    from hashing import images, plugins
    from hashing.plugin_host import Frame

    sys.path.append(str(EXAMPLE))
    from holdfast_plugin_example import OneColour  # type: ignore[import-not-found]

    times = 20 if quick else 200
    frames = images.decode(photographs(1, (1024, 1024))[0]).frames
    images.stop()
    values = {"tolerance": 8}
    here = OneColour()
    one = frames[0].pixels
    item = {"frames": [Frame(0, *one.size, one.tobytes())]}
    example, idle = plugins.find("one-colour"), plugins.find("idle")
    if example is None or idle is None:
        raise RuntimeError("the plug-ins of this benchmark are not found")

    def asked() -> object:
        about = {"kind": "image", "surface": "profile_photo", "text": ""}
        return plugins.ask(example, about, frames, settings=values, seconds=10, memory_mb=512)

    def idled() -> object:
        about = {"kind": "text", "surface": "profile_text", "text": "an invented text " * 6}
        return plugins.ask(idle, about, [], settings={}, seconds=10, memory_mb=64)

    def started() -> object:
        return plugins.describe(idle)

    def example_started() -> object:
        return plugins.describe(example)

    return [
        row("plug-in: example, in this process", *timed(lambda: here.look(item, values), times)),
        row("plug-in: example, in its own process", *timed(asked, times)),
        row("plug-in: a text and nothing done, in its own process", *timed(idled, times)),
        row("plug-in: start, standard library only", *timed(started, 5)),
        row("plug-in: start, with numpy", *timed(example_started, 5)),
    ]


def _counting() -> dict[str, Any]:
    from hashing import health

    def thousand() -> None:
        for _ in range(1000):
            health.note("bench", "1", ms=1.0, queue_ms=20.0)

    least, median, high = timed(thousand, 20)
    health.forget()
    return row("counting one run for the figures", least / 1000, median / 1000, high / 1000)


def row(what: str, least: float, median: float, high: float) -> dict[str, Any]:
    """Return one row: times in ms, and how many of it one core does in a second."""
    return {
        "what": what,
        "best_ms": round(least, 4),
        "p50_ms": round(median, 4),
        "p95_ms": round(high, 4),
        "per_second": round(1000 / median, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    options = parser.parse_args()
    rows = measure(quick=options.quick)
    if options.json:
        print(json.dumps(rows))
        return
    print(f"{'':54} {'best ms':>9} {'p50 ms':>9} {'p95 ms':>9} {'a second':>9}")
    for each in rows:
        print(
            f"{each['what']:54} {each['best_ms']:9.3f} {each['p50_ms']:9.3f} {each['p95_ms']:9.3f} {each['per_second']:9,.0f}"
        )


if __name__ == "__main__":
    main()
