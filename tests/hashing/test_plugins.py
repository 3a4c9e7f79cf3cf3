"""Plug-ins: found, described, turned on, asked in a process of their own, and survived."""

from __future__ import annotations

import os
import signal
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.audit import SYSTEM
from core.errors import Refused
from hashing import actions, jobs, plugins
from hashing.contract import FlagKind
from hashing.detectors import switched
from hashing.models import DetectorBreaker, DetectorSetting, Flag, PendingLook
from hashing.plugins import PluginFailed
from reports.models import Item, ScanState
from tests import pictures
from tests.hashing.conftest import flags_of

Put = Callable[..., Item]
EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "holdfast-plugin-example"

BEGINNING = """
import os, signal, sys, time

class Plug:
    label = "Invented"
    kinds = ("text",)
    categories = ("spam_other",)
    needs = {"seconds": 5, "memory_mb": 256}
    card = {"summary": "Invented."}

    def look(self, item, settings):
"""

FINE = '        return [{"category": "spam_other", "score": 1.0}]\n'


@pytest.fixture(autouse=True)
def _end_processes() -> Iterator[None]:
    yield
    plugins.stop_all()


@pytest.fixture
def install(tmp_path: Path, settings: Any, db: None) -> Callable[..., DetectorSetting]:
    """Return a function that installs a plug-in from source, has it described and turns it on."""
    settings.HOLDFAST_PLUGIN_PATH = [str(tmp_path)]

    def put(code: str, name: str = "invented", version: str = "1", on: bool = True) -> Any:
        module = f"plug_{name.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(code)
        write_metadata(tmp_path, name, version, {name: f"{module}:Plug"})
        jobs.find_plugins()
        jobs.describe_plugin(name)
        setting = DetectorSetting.objects.get(name=f"plugin.{name}")
        if on:
            setting = actions.change_detector(setting, is_on=True, opens_cases=True, actor=SYSTEM)
        return setting

    return put


def write_metadata(into: Path, name: str, version: str, entries: dict[str, str]) -> None:
    """Write what an installer writes about a package, as far as it is read here."""
    for old in into.glob(f"{name.replace('-', '_')}-*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    info = into / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = "".join(f"{key} = {value}\n" for key, value in entries.items())
    (info / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{lines}")


def by(item: Item, setting: DetectorSetting) -> list[Flag]:
    return [flag for flag in flags_of(item) if flag.detector == setting.name]


@pytest.fixture
def example(tmp_path: Path, settings: Any, db: None) -> DetectorSetting:
    """Return the example of the documentation, installed, described and off."""
    settings.HOLDFAST_PLUGIN_PATH = [str(tmp_path), str(EXAMPLE)]
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    write_metadata(
        tmp_path, project["name"], project["version"], project["entry-points"][plugins.GROUP]
    )
    assert jobs.find_plugins() == 1
    jobs.describe_plugin("one-colour")
    assert jobs.find_plugins() == 0
    return DetectorSetting.objects.get(name="plugin.one-colour")


def test_the_example_of_the_documentation_works(scanned: Put, example: DetectorSetting) -> None:
    assert (example.label, example.is_on, example.code_version) == ("One colour", False, "1.0.0")
    assert example.thresholds == {"spam_other": 0.9}
    assert example.settings == {
        "tolerance": 8,
        "limit_seconds": 2.0,
        "limit_memory_mb": 256,
        "limit_failures": 5,
    }
    plain = pictures.encode(Image.new("RGB", (300, 200), (10, 120, 200)))
    assert by(scanned(plain), example) == [], "it is off"
    actions.change_detector(example, is_on=True, opens_cases=True, actor=SYSTEM)
    (flag,) = by(scanned(plain), example)
    assert (flag.kind, flag.category, flag.score) == (FlagKind.CLASSIFIER, "spam_other", 1.0)
    assert "100% of it is one colour" in flag.summary
    drawn = scanned(pictures.jpeg(3))
    assert (drawn.scan_state, by(drawn, example)) == (ScanState.SCANNED, [])
    values = example.settings | {"tolerance": 128}
    actions.change_detector(example, settings=values, thresholds={"spam_other": 0.5}, actor=SYSTEM)
    assert len(by(scanned(pictures.jpeg(3)), example)) == 1


def test_a_process_is_kept_from_item_to_item(scanned: Put, install: Any) -> None:
    code = (
        BEGINNING
        + '        return [{"category": "spam_other", "score": 1, "label": str(os.getpid())}]\n'
    )
    setting = install(code)
    first, second = by(scanned("one"), setting)[0], by(scanned("two"), setting)[0]
    assert first.evidence["label"] == second.evidence["label"]
    os.kill(int(first.evidence["label"]), signal.SIGKILL)
    third = scanned("three")
    fourth = by(scanned("four"), setting)[0]
    assert by(third, setting)[0].kind in {FlagKind.CLASSIFIER, FlagKind.COULD_NOT_SCAN}
    assert fourth.evidence["label"] != first.evidence["label"]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("time.sleep(60)", "plugin_too_slow", "was stopped: it took longer than 0.5 s"),
        ("while True: pass", "plugin_too_slow", "was stopped: it took longer than 0.5 s"),
        ("x = bytearray(10**10)", "plugin_too_much_memory", "needed more than 256 MB"),
        ("signal.raise_signal(signal.SIGSEGV)", "plugin_crashed", "crashed"),
        ("sys.exit(3)", "plugin_crashed", "crashed"),
        ("raise LookupError(item['text'])", "plugin_failed", "failed on it (LookupError)"),
        ("return None", "plugin_failed", "failed on it (TypeError)"),
        ("return [{'category': 'unheard_of', 'score': 1}]", "plugin_bad_answer", "not known here"),
        ("return [{'category': 'spam_other', 'score': 7}]", "plugin_bad_answer", "between 0 and 1"),
        ("return [{'label': 'x' * 10**6}]", "plugin_failed", "failed on it (TooLong)"),
        ("return [object()]", "plugin_failed", "failed on it (TypeError)"),
        (
            "import tempfile; tempfile.TemporaryFile(buffering=0).write(b'x')",
            "plugin_sandboxed",
            "stopped by the sandbox",
        ),
        ("import tomllib", "plugin_sandboxed", "can only have in prepare()"),
    ],
)
def test_whatever_it_does_ends_in_a_flag_with_the_reason(
    scanned: Put, install: Any, body: str, code: str, words: str
) -> None:
    setting = install(f"{BEGINNING}        {body}\n")
    values = setting.settings | {"limit_seconds": 0.5}
    actions.change_detector(setting, settings=values, actor=SYSTEM)
    item = scanned("markerword-alpha")
    (flag,) = by(item, setting)
    assert (item.scan_state, flag.kind) == (ScanState.PARTLY, FlagKind.COULD_NOT_SCAN)
    assert (flag.evidence["code"], words in flag.summary) == (code, True), flag.summary
    assert "markerword" not in flag.summary + str(flag.evidence)
    assert DetectorBreaker.objects.get(detector=setting).failures == 1
    assert not PendingLook.objects.exists(), "it would break on this item again"


def test_while_it_loads_it_reads_its_own_folder_and_prepares_what_it_needs_later(
    scanned: Put, install: Any, tmp_path: Path, settings: Any
) -> None:
    """The key ring is out of reach even for a plug-in's module, and so are sockets; its model is not."""
    (tmp_path / "model.txt").write_text("0.75")
    setting = install(
        f"""
import os, socket
from pathlib import Path

def tried(what, *said):
    try:
        what(*said)
    except OSError as refused:
        return refused.errno
    return 0

AT_LOADING = [
    tried(open, {str(settings.HOLDFAST_KEYRING)!r}),
    tried(open, "/proc/{os.getpid()}/environ"),
    tried(socket.socket),
    tried(open, {str(tmp_path / "new")!r}, "w"),
    tried(os.kill, {os.getpid()}, 0),
]
{BEGINNING}        found = self.model if AT_LOADING == [13, 13, 1, 13, 1] else 0
        return [{{"category": "spam_other", "score": found, "label": repr(AT_LOADING)}}]

    def prepare(self):
        import tomllib
        self.model = float((Path(__file__).parent / "model.txt").read_text())
"""
    )
    (flag,) = by(scanned("markerword-alpha"), setting)
    assert flag.score == 0.75, flag.evidence


def test_after_failures_it_is_paused_and_its_items_are_scanned_later(
    scanned: Put, install: Any
) -> None:
    setting = install(BEGINNING + "        raise ValueError\n")
    for number in range(5):
        scanned(f"text {number}")
    item = scanned("one more")
    (flag,) = by(item, setting)
    assert flag.evidence["code"] == "unavailable"
    assert "is paused after failures" in flag.summary
    assert PendingLook.objects.get().item == item
    install(BEGINNING + FINE, version="2")
    actions.try_detector_again(setting, actor=SYSTEM)  # type: ignore[arg-type]
    assert jobs.sweep_pending_looks() == 1
    jobs.scan_item(str(item.pk))
    assert by(item, setting)[0].kind == FlagKind.CLASSIFIER


def test_it_sees_nothing_of_the_worker_and_its_prints_lead_nowhere(
    scanned: Put, install: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_MASTER_KEYS_OF_A_TEST", "secret")
    body = (
        "        print('noise'); os.write(1, b'noise'); print('noise', file=sys.stderr)\n"
        "        told = ','.join(sorted(os.environ)) + str([m for m in sys.modules if 'django' in m])\n"
        "        return [{'category': 'spam_other', 'score': 1, 'label': told[:100]}]\n"
    )
    setting = install(BEGINNING + body)
    (flag,) = by(scanned("a text"), setting)
    assert flag.evidence["label"] == "LC_ALL,OMP_NUM_THREADS,OPENBLAS_NUM_THREADS,PATH[]"


def test_an_answer_that_nobody_waited_for_is_never_taken_for_the_next_one(
    scanned: Put, install: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "        return [{'category': 'spam_other', 'score': 1, 'label': item['text']}]\n"
    setting = install(BEGINNING + body)
    scanned("first")
    child = plugins._children["invented"]

    def time_is_over(deadline: float) -> dict[str, Any]:
        raise InterruptedError

    monkeypatch.setattr(child, "_answer", time_is_over)
    (flag,) = by(scanned("second"), setting)
    assert flag.evidence["code"] == "detector_failed"
    assert child.process.poll() is not None
    (flag,) = by(scanned("third"), setting)
    assert flag.evidence["label"] == "third"


def test_one_that_cannot_be_started_says_why_and_cannot_be_turned_on(install: Any) -> None:
    setting = install("import a_package_that_is_not_there\n", on=False)
    assert setting.problem == "It cannot be started (ModuleNotFoundError)."
    with pytest.raises(Refused):
        actions.change_detector(setting, is_on=True, actor=SYSTEM)
    setting = install(BEGINNING + FINE, version="2", on=False)
    assert (setting.problem, setting.code_version) == ("", "2")
    actions.change_detector(setting, is_on=True, actor=SYSTEM)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("kinds = ('video',)", "“kinds” is not a list"),
        ("categories = ()", "“categories” is not a list"),
        ("card = {}", "no label or no card"),
        ("settings = [{'name': 'a', 'kind': 'date'}]", "none of the kinds"),
        ("settings = [{'name': 'limit_x', 'kind': 'bool', 'default': True}]", "limit_"),
        ("thresholds = {'spam_other': 2}", "threshold is not between"),
        ("needs = {'memory_mb': 10**6}", "does not fit"),
    ],
)
def test_a_wrong_description_is_refused_with_the_reason(
    install: Any, wrong: str, words: str
) -> None:
    setting = install(f"{BEGINNING}{FINE}    {wrong}\n", on=False)
    assert setting.problem.startswith("It describes itself wrongly: ")
    assert words in setting.problem


def test_one_that_is_gone_flags_what_it_would_have_looked_at(
    scanned: Put, install: Any, settings: Any
) -> None:
    setting = install(BEGINNING + FINE)
    settings.HOLDFAST_PLUGIN_PATH = []
    assert jobs.find_plugins() == 1
    assert jobs.find_plugins() == 0
    (flag,) = by(scanned("a text"), setting)
    assert "cannot be used: It is no longer installed" in flag.summary
    switched.forget()


def test_a_process_that_is_not_told_to_end_ends_with_its_pipes(install: Any) -> None:
    install(BEGINNING + FINE, on=False)
    plugin = plugins.find("invented")
    assert plugin is not None
    about = {"kind": "text", "surface": "profile_text", "text": "x"}
    answer = plugins.ask(plugin, about, [], settings={}, seconds=5.0, memory_mb=256)
    assert answer == {"results": [{"category": "spam_other", "score": 1.0}]}
    child = plugins._children["invented"]
    assert child.process.stdin is not None
    child.process.stdin.close()
    assert child.process.wait(10) == 0
    with pytest.raises(PluginFailed):
        plugins.ask(
            plugins.Installed(
                name="x", module="nowhere", attribute="x", distribution="", version=""
            ),
            about,
            [],
            settings={},
            seconds=1.0,
            memory_mb=64,
        )
