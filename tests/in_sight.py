"""Measured in a real browser: is a control in sight and under the pointer, over the whole of it?

Used on pages of the tests' own server and on those of a real installation; knows of neither.
"""

from __future__ import annotations

from playwright.sync_api import Page

SIZES = {
    "1280x720": (1280, 720),
    "1366x768": (1366, 768),
    "1440x900": (1440, 900),
    "1920x1080": (1920, 1080),
    # A window of 1280x720 and of 1440x900 at 200 % zoom has half as many CSS pixels each way.
    "1280x720 at 200 %": (640, 360),
    "1440x900 at 200 %": (720, 450),
}
"""Windows that reviewers work in, in CSS pixels."""

LOOK = """
(node) => {
  const box = node.getBoundingClientRect();
  if (!box.width || !box.height) return "is not shown";
  if (box.top < -1 || box.left < -1 || box.bottom > innerHeight + 1 || box.right > innerWidth + 1)
    return `lies outside of the window: ${box.top.toFixed()} to ${box.bottom.toFixed()} of ${innerHeight}`;
  // The corners are round: what shows through there belongs to something else.
  const inset = 5;
  for (let row = 0; row <= 6; row++) {
    for (let column = 0; column <= 10; column++) {
      const x = box.left + inset + ((box.width - 2 * inset) * column) / 10;
      const y = box.top + inset + ((box.height - 2 * inset) * row) / 6;
      const hit = document.elementFromPoint(x, y);
      if (!hit || !node.contains(hit)) {
        const name = hit ? hit.id || hit.className || hit.tagName : "nothing";
        return `is covered at ${x.toFixed()}, ${y.toFixed()} by ${name}`;
      }
    }
  }
  return "";
}
"""

REACH = """
(node) => {
  const inside = node.matches("a, button, input, select, textarea") ? node : node.querySelector("input");
  if (inside && !inside.disabled) inside.focus();
  else node.scrollIntoView({ block: "nearest" });
}
"""

FOCUSED = """
() => {
  const node = document.activeElement;
  if (!node || node === document.body) return null;
  const box = node.getBoundingClientRect();
  const seen = [0.1, 0.3, 0.5, 0.7, 0.9].some((share) => {
    const hit = document.elementFromPoint(box.left + box.width * share, box.top + box.height / 2);
    return hit && (node.contains(hit) || hit.contains(node) || Boolean(node.labels && [...node.labels].some((one) => one.contains(hit))));
  });
  const name = node.id || node.name || node.textContent.trim().slice(0, 40) || node.tagName;
  const isFirst = node.matches(".skip-link");
  return { name, is_first: isFirst, seen: seen && box.bottom > 0 && box.top < innerHeight };
}
"""

CONTROLS = {
    "policy": "#id_policy",
    "the first outcome": "#id_outcome label:nth-of-type(1)",
    "the second outcome": "#id_outcome label:nth-of-type(2)",
    "the third outcome": "#id_outcome label:nth-of-type(3)",
    "reason": "#id_reason",
    "consequence": "#consequence",
    "Confirm": ".decide__buttons button:nth-of-type(1)",
    "Confirm and next": ".decide__buttons button:nth-of-type(2)",
}
MEASURES = "#id_enforcements label"

UNSCROLLED = "() => { scrollTo(0, 0); document.querySelector('.decide__fields').scrollTop = 0; }"

ROOM = """
async () => {
  const frames = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  scrollTo(0, 70);
  await frames();
  const fields = document.querySelector(".decide__fields");
  // What was once reserved for the dock stays so: nothing moves under a pointer because a sentence has left.
  const dock = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--dock")) || 0;
  const floor = innerHeight - dock;
  const unused = floor - document.querySelector("#decide").getBoundingClientRect().bottom;
  const isCut = fields.scrollHeight > fields.clientHeight + 1;
  scrollTo(0, 0);
  await frames();
  return isCut && unused > 32 ? `the choices are cut, and ${unused.toFixed()} pixels below the panel are unused` : "";
}
"""


def faults_of_panel(page: Page, size: str) -> list[str]:
    """Return what of the panel of the decision cannot be reached, or is covered, in a window of this size.

    Each control is brought up as the keyboard does it. With a button the consequence has to be in sight.
    """
    _resize(page, size)
    found = []
    if SIZES[size][0] > 960:
        # Beside the evidence: the field that everybody must fill is there before anybody scrolls.
        page.evaluate(UNSCROLLED)
        fault = page.locator(CONTROLS["reason"]).evaluate(LOOK)
        if fault:
            found.append(f"{size}: before anything is scrolled, reason {fault}")
        fault = page.evaluate(ROOM)
        if fault:
            found.append(f"{size}: {fault}")

    def look(name: str, selector: str, number: int = 0) -> None:
        fault = page.locator(selector).nth(number).evaluate(LOOK)
        if fault:
            found.append(f"{size}: {name} {fault}")

    for name, selector in CONTROLS.items():
        page.locator(selector).first.evaluate(REACH)
        look(name, selector)
        if name.startswith("Confirm"):
            look(f"with {name} the consequence", CONTROLS["consequence"])
    for number in range(page.locator(MEASURES).count()):
        page.locator(MEASURES).nth(number).evaluate(REACH)
        look(f"measure {number + 1}", MEASURES, number)
    # Coming back from what stands below the panel, the button must not hide what it does above the window's edge.
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    for name in ("Confirm and next", "Confirm"):
        page.locator(CONTROLS[name]).evaluate(REACH)
        look(f"coming back to {name}, the consequence", CONTROLS["consequence"])
    page.evaluate("scrollTo(0, 0)")
    return found


def hidden_focus(page: Page, size: str) -> list[str]:
    """Return what takes the focus by Tab and cannot be seen at all then (WCAG 2.2, 2.4.11), through the whole page."""
    _resize(page, size)
    page.evaluate("document.querySelector('.skip-link').focus()")
    found, stops = [], 0
    for _ in range(200):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None or focused["is_first"]:
            break
        stops += 1
        if not focused["seen"]:
            found.append(f"{size}: the focus on {focused['name']} cannot be seen")
    assert stops > 15, f"only {stops} things on the page take the focus"
    return found


def _resize(page: Page, size: str) -> None:
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    # The page hears of its new size some frames later.
    page.wait_for_function(f"innerWidth === {width} && innerHeight === {height}")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
