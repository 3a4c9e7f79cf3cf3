/* Holdfast in the browser. Everything here adds to pages that already work as plain HTML.
   Behaviours are bound to data attributes and delegated from document, so that fragments
   swapped in by htmx need no wiring. No eval, no inline code, no third party. */
(() => {
  "use strict";

  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const on = (type, handler, options) => document.addEventListener(type, handler, options);
  const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

  /* ---- Server: clock, CSRF, requests ---------------------------------------------------- */

  // Deadlines are judged by the server's clock; the page says what time it was there.
  let clockOffset = 0;
  const readClock = () => {
    const now = Date.parse(document.body.dataset.now);
    if (now) clockOffset = now - Date.now();
  };
  const serverNow = () => Date.now() + clockOffset;

  const csrfToken = () => {
    try {
      return JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
    } catch {
      return "";
    }
  };

  const post = (url, values, options = {}) =>
    fetch(url, {
      method: "POST",
      credentials: "same-origin",
      cache: "no-store",
      ...options,
      headers: { "X-CSRFToken": csrfToken(), ...(options.headers || {}) },
      body: new URLSearchParams(values),
    });

  // Storage can be switched off or full; then a draft is lost, never the page.
  const store = {
    get: (key) => {
      try {
        return sessionStorage.getItem(key);
      } catch {
        return null;
      }
    },
    set: (key, value) => {
      try {
        sessionStorage.setItem(key, value);
      } catch {
        /* see above */
      }
    },
    remove: (key) => {
      try {
        sessionStorage.removeItem(key);
      } catch {
        /* see above */
      }
    },
    clear: () => {
      try {
        sessionStorage.clear();
      } catch {
        /* see above */
      }
    },
  };

  /* ---- Toasts ---------------------------------------------------------------------------- */

  const TOAST_MS = 6000;

  function armToasts(root = document) {
    for (const toast of $$("[data-toast]:not([data-sticky], [data-armed])", root)) {
      toast.dataset.armed = "";
      const leave = () => {
        // Somebody who is reading or tabbing in it keeps it (WCAG 2.2.1).
        if (toast.matches(":hover, :focus-within")) setTimeout(leave, TOAST_MS);
        else toast.remove();
      };
      setTimeout(leave, TOAST_MS);
    }
  }

  function toast(text, tone = "info") {
    const region = $("#toasts");
    const template = $(`#toast-template-${tone}`) || $("#toast-template-info");
    if (!region || !template) return;
    const node = template.content.cloneNode(true);
    $(".toast__text", node).textContent = text;
    region.append(node);
    armToasts(region);
  }

  /* ---- Countdowns ------------------------------------------------------------------------ */

  function spell(seconds) {
    const total = Math.abs(Math.trunc(seconds));
    const days = Math.floor(total / 86400);
    const hours = Math.floor((total % 86400) / 3600);
    const minutes = Math.floor((total % 3600) / 60);
    if (days) return `${days} d ${hours} h`;
    if (hours) return `${hours} h ${String(minutes).padStart(2, "0")} min`;
    if (total >= 1200) return `${minutes} min`;
    return `${minutes}:${String(total % 60).padStart(2, "0")}`;
  }

  // How late something is needs no seconds.
  const spellOver = (seconds) =>
    seconds < 3600 ? `${Math.max(1, Math.floor(seconds / 60))} min` : spell(seconds);

  function tick() {
    for (const node of $$("[data-countdown]")) {
      const deadline = Date.parse(node.dataset.countdown);
      if (!deadline) continue;
      const left = (deadline - serverNow()) / 1000;
      const text = left >= 0 ? spell(left) : `${spellOver(-left)} over`;
      if (node.textContent !== text) node.textContent = text;
      const due = node.closest(".due");
      if (due) {
        due.classList.toggle("due--over", left < 0);
        due.classList.toggle("due--soon", left >= 0 && left < Number(node.dataset.soon || 3600));
      }
      // One second later, so that the server has certainly passed the moment as well.
      if (left <= -1 && node.dataset.countdownEvent && !node.dataset.fired) {
        node.dataset.fired = "1";
        document.body.dispatchEvent(new CustomEvent(node.dataset.countdownEvent, { bubbles: true }));
      }
    }
    for (const node of $$("time[data-ago]")) {
      const text = spellAgo((serverNow() - Date.parse(node.dateTime)) / 1000);
      if (text && node.textContent !== text) node.textContent = text;
    }
    watchLease();
  }

  function spellAgo(seconds) {
    if (!(seconds > -60)) return "";
    if (seconds < 60) return "just now";
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} d ago`;
  }

  /* ---- Lease heartbeat ------------------------------------------------------------------- */

  const HEARTBEAT_MS = 60_000;
  const INPUT_WINDOW_MS = 5 * 60_000;
  let lastInput = Date.now();
  let lastBeat = Date.now();
  let beating = false;

  const leaseLost = () => document.body.dataset.lease === "lost";

  function loseLease() {
    document.body.dataset.lease = "lost";
    cover("lease lost");
    for (const node of $$("[data-needs-lease]")) node.disabled = true;
  }

  function watchLease() {
    const panel = $("[data-lease-expires]");
    if (!panel) return;
    const left = (Date.parse(panel.dataset.leaseExpires) - serverNow()) / 1000;
    panel.classList.toggle("lease--soon", left > 0 && left <= 60);
    if (left <= 60 && left > 0 && !panel.dataset.warned) {
      panel.dataset.warned = "1";
      toast("Your lease ends in less than a minute. Extend it to keep the case; what you typed is kept.", "warn");
    }
    if (left <= -1 && !leaseLost()) {
      loseLease();
      // Asking once more brings the panel that says who has the case now; it cannot revive a lease.
      sendBeat($("[data-heartbeat-url]"));
    }
  }

  function beat() {
    const panel = $("[data-heartbeat-url]");
    if (!panel || leaseLost() || document.hidden) return;
    if (Date.now() - lastBeat < HEARTBEAT_MS || Date.now() - lastInput > INPUT_WINDOW_MS) return;
    sendBeat(panel);
  }

  async function sendBeat(panel) {
    if (!panel || beating) return;
    beating = true;
    lastBeat = Date.now();
    try {
      const answer = await post(panel.dataset.heartbeatUrl, {}, {
        headers: { "HX-Request": "true", "HX-Target": panel.id },
      });
      const type = answer.headers.get("Content-Type") || "";
      // A redirect leads to the sign-in page, 403 and 404 mean that the case is out of reach.
      const lost = answer.redirected || (answer.status >= 400 && answer.status < 500);
      if (!answer.redirected && (answer.ok || answer.status === 409)) {
        if (type.includes("html") && answer.status !== 204) swapNode(panel, await answer.text());
        else if (type.includes("json") && answer.ok) renewLease(panel, (await answer.json()).expires);
      }
      if (lost) loseLease();
    } catch {
      // Offline: the countdown goes on by itself and ends the lease when the time is up.
    } finally {
      beating = false;
    }
  }

  function renewLease(panel, expires) {
    if (!expires) return;
    panel.dataset.leaseExpires = expires;
    delete panel.dataset.warned;
    for (const node of $$("[data-countdown]", panel)) node.dataset.countdown = expires;
  }

  function swapNode(old, html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
    if (!fresh) return;
    old.replaceWith(fresh);
    if (window.htmx) htmx.process(fresh);
    initialise(fresh);
  }

  for (const type of ["pointerdown", "keydown", "wheel", "input"]) {
    // A key held down repeats by itself; that is not somebody being there.
    on(type, (event) => event.repeat || (lastInput = Date.now()), { passive: true, capture: true });
  }

  /* ---- Reveal: the only way an original gets onto the page -------------------------------- */

  const TIMED_MS = 5000;
  const IDLE_MS = 10_000;
  let reveal = null;
  let purpose = "";
  let inColour = false;
  const heardUntil = new WeakMap(); // By card, in seconds.

  const evidenceInUse = () => $("[data-evidence][data-active]") || $("[data-evidence]:not([hidden])");

  function say(card, text) {
    const status = $("[data-reveal-status]", card);
    if (status) status.textContent = text;
  }

  async function startReveal(card, { timed = false } = {}) {
    if (!card || !card.dataset.revealUrl || leaseLost()) return;
    if (reveal) {
      if (reveal.card === card) return;
      cover();
    }
    if (!purpose) {
      const select = $("[data-reveal-purpose]", card);
      say(card, `Choose first why you need to ${"sound" in card.dataset ? "listen" : "look"}. It is recorded.`);
      if (select) select.focus();
      return;
    }
    // Every look begins grey; colour is a step of its own each time.
    setColour(false);
    // `mine` stands for this one look: cover() sets `ended`, and each step below checks it, so a
    // key let go while the bytes are still on their way never lets them appear afterwards.
    const mine = { card, timed, ended: false, shownAt: 0, abort: new AbortController() };
    reveal = mine;
    card.dataset.state = "loading";
    say(card, "Opening…");
    try {
      const answer = await post(card.dataset.revealUrl, { purpose }, { headers: { Accept: "application/json" } });
      if (!answer.ok) {
        let detail = "This cannot be shown now.";
        if ((answer.headers.get("Content-Type") || "").includes("json")) {
          const body = await answer.json();
          detail = body.detail || body.title || detail;
        }
        throw new Refusal(detail);
      }
      const { url, expires, close_url: closeUrl } = await answer.json();
      mine.closeUrl = closeUrl;
      mine.expires = Date.parse(expires) || Infinity;
      if (mine.ended) return report(mine);
      const media = await fetch(url, {
        credentials: "same-origin",
        cache: "no-store",
        signal: mine.abort.signal,
      });
      if (!media.ok) throw new Refusal("The original could not be opened. Decide on the metadata or try again.");
      const blob = await media.blob();
      if (mine.ended) return;
      await show(mine, blob);
    } catch (error) {
      if (mine.ended) return;
      cover();
      say(card, error instanceof Refusal ? error.message : "The original could not be loaded. Check the connection.");
    }
  }

  class Refusal extends Error {}

  async function show(mine, blob) {
    mine.blobUrl = URL.createObjectURL(blob);
    const isVideo = blob.type.startsWith("video/");
    const isSound = blob.type.startsWith("audio/");
    const node = document.createElement(isVideo ? "video" : isSound ? "audio" : "img");
    if (isVideo) {
      node.controls = true;
      node.muted = true;
      node.playsInline = true;
    } else if (isSound) {
      node.controls = true;
      // A look lasts half a minute at most: the next one goes on where the last one ended.
      node.currentTime = heardUntil.get(mine.card) || 0;
    } else {
      node.alt = "Original, shown for assessment";
      node.draggable = false;
    }
    node.className = "evidence__original";
    node.classList.toggle("evidence__original--grey", !inColour);
    node.src = mine.blobUrl;
    mine.node = node;
    try {
      if (!isVideo && !isSound) await node.decode();
    } catch {
      if (!mine.ended) throw new Refusal("The browser cannot show this file. Decide on the metadata.");
    }
    if (mine.ended || document.hidden || !document.hasFocus()) {
      if (!mine.ended) cover();
      return;
    }
    $("[data-reveal-stage]", mine.card).append(node);
    mine.card.dataset.state = "shown";
    bringIntoSight(mine);
    // How high a film is, is known once it has begun to load.
    if (isVideo) node.addEventListener("loadedmetadata", () => bringIntoSight(mine), { once: true });
    // Nothing plays by itself: this look was asked for to hear it. Where the browser does not start it, its own button does.
    if (isSound) node.play().catch(() => {});
    mine.painting = window.holdfastPainting(node);
    mine.shownAt = performance.now();
    lastInput = Date.now();
    sayHowItEnds(mine);
    if (mine.timed) mine.timer = setTimeout(() => reveal === mine && cover(), TIMED_MS);
  }

  /** The picture first, and the buttons below it where there is room for both. */
  function bringIntoSight(mine) {
    if (mine.ended) return;
    for (const part of [".evidence__bar", "[data-reveal-stage]"]) {
      const node = $(part, mine.card);
      if (node) node.scrollIntoView({ block: "nearest", behavior: "instant" });
    }
  }

  function sayHowItEnds(mine) {
    const ends = mine.timed ? "Covers again after 5 seconds. Esc covers at once." : "Covers when you let go. Esc covers at once.";
    const isSeen = mine.node instanceof HTMLAudioElement || window.holdfastShareInSight(mine.node) >= 0.5;
    const text = isSeen ? ends : `${ends} Less than half of it is in sight: this does not count as viewed. Scroll, or make the window larger.`;
    if (mine.said !== text) say(mine.card, text);
    mine.said = text;
  }

  /** Takes the original off the page at once, forgets its bytes, then reports how long it was seen. */
  function cover() {
    const mine = reveal;
    if (!mine) return;
    reveal = null;
    mine.ended = true;
    mine.milliseconds = mine.shownAt ? Math.round(performance.now() - mine.shownAt) : 0;
    mine.measured = mine.painting ? mine.painting.stop() : { painted: [], played: [], film: 0 };
    clearTimeout(mine.timer);
    mine.abort.abort();
    if (mine.node) {
      if (mine.node instanceof HTMLAudioElement) heardUntil.set(mine.card, mine.node.ended ? 0 : mine.node.currentTime);
      if (mine.node.pause) mine.node.pause();
      mine.node.removeAttribute("src");
      mine.node.remove();
    }
    if (mine.blobUrl) URL.revokeObjectURL(mine.blobUrl);
    mine.card.dataset.state = "covered";
    if (mine.shownAt) {
      say(mine.card, `Covered. Shown for ${(mine.milliseconds / 1000).toFixed(1)} s.`);
    } else {
      say(mine.card, "");
    }
    if (mine.closeUrl) report(mine);
  }

  function report(mine) {
    const { painted, played, film } = mine.measured || { painted: [], played: [], film: 0 };
    const values = {
      milliseconds: mine.milliseconds || 0,
      painted: JSON.stringify(painted),
      played: JSON.stringify(played),
      film,
      csrfmiddlewaretoken: csrfToken(),
    };
    // keepalive lets the report leave although the page is going away.
    post(mine.closeUrl, values, { keepalive: true, headers: { Accept: "application/json" } })
      .then((answer) => (answer.ok && answer.status !== 204 ? answer.json() : null))
      .then((said) => said && markViewed(mine.card, said))
      .catch(() => {});
  }

  /** Puts the server's words on the card: whether it was viewed is never for the page to say. */
  function markViewed(card, { viewed, words }) {
    const button = $(`[data-evidence-to="${card.id}"]`);
    if (button && viewed === "full") button.dataset.viewed = viewed;
    const badge = $("[data-reveal-viewed] .badge", card);
    if (!badge) return;
    badge.className = viewed === "full" ? "badge tone-info" : "badge";
    badge.textContent = words;
  }

  function setColour(isWanted) {
    inColour = isWanted;
    for (const button of $$("[data-reveal-colour]")) button.setAttribute("aria-pressed", String(inColour));
    if (reveal && reveal.node) reveal.node.classList.toggle("evidence__original--grey", !inColour);
  }

  on("pointerdown", (event) => {
    const button = event.target.closest("[data-reveal-hold]");
    if (!button || event.button !== 0 || button.disabled) return;
    event.preventDefault();
    button.focus();
    startReveal(button.closest("[data-evidence]"));
  });
  for (const type of ["pointerup", "pointercancel"]) {
    on(type, () => reveal && !reveal.timed && !reveal.byKey && cover());
  }
  on("contextmenu", (event) => {
    // A long press on a touch screen would open a menu over the media, with "save image".
    if (event.target.closest("[data-reveal-hold], .evidence__original")) event.preventDefault();
  });
  on("dragstart", (event) => event.target.closest(".evidence__original") && event.preventDefault());
  on("visibilitychange", () => document.hidden && cover());
  window.addEventListener("blur", () => cover());
  window.addEventListener("pagehide", () => cover());
  window.addEventListener("offline", () => cover());
  on("change", (event) => {
    if (!event.target.matches("[data-reveal-purpose]")) return;
    purpose = event.target.value;
    for (const select of $$("[data-reveal-purpose]")) select.value = purpose;
    say(event.target.closest("[data-evidence]"), "");
  });

  function watchReveal() {
    if (!reveal || !reveal.shownAt) return;
    // Whoever listens moves nothing.
    if (reveal.node instanceof HTMLAudioElement && !reveal.node.paused) lastInput = Date.now();
    if (Date.now() - lastInput > IDLE_MS || serverNow() > reveal.expires) cover();
    else sayHowItEnds(reveal);
  }

  /* ---- Evidence set: one card at a time ----------------------------------------------------- */

  function showEvidence(card, focus = false) {
    const set = card.closest("[data-evidence-set]");
    if (!set) return;
    if (reveal && reveal.card !== card) cover();
    for (const other of $$("[data-evidence]", set)) {
      other.hidden = other !== card;
      other.toggleAttribute("data-active", other === card);
    }
    for (const button of $$("[data-evidence-to]", set)) {
      if (button.dataset.evidenceTo === card.id) {
        button.setAttribute("aria-current", "true");
        if (focus) button.focus();
      } else {
        button.removeAttribute("aria-current");
      }
    }
  }

  function stepEvidence(step) {
    const cards = $$("[data-evidence-set] [data-evidence]");
    const at = cards.findIndex((card) => !card.hidden);
    const next = cards[at + step];
    if (next) showEvidence(next);
    return cards.length > 1;
  }

  /* ---- Keyboard ------------------------------------------------------------------------------ */

  const keysOff = () => document.body.dataset.keys === "off";
  const typing = (node) =>
    node.isContentEditable ||
    node.matches("textarea, select, input:not([type=checkbox], [type=radio], [type=button], [type=submit], [type=file])");

  // A key is called by what is printed on it. Where that is no Latin letter (Cyrillic, Greek, Hebrew …) the letter
  // is the one at the same place of a Latin keyboard; digits are so too, for rows that give them with shift only.
  function pressedKey(event) {
    const key = event.key.toLowerCase();
    const [, letter, digit] = /^(?:Key([A-Z])|Digit([0-9]))$/.exec(event.code || "") || [];
    if (letter && (key.length > 1 ? key === "dead" : !/^[\x21-\x7e]$/.test(key))) return letter.toLowerCase();
    if (digit && !event.shiftKey && !event.altKey && !/^[a-z0-9]$/.test(key)) return digit;
    return key;
  }

  function keyName(event) {
    const key = pressedKey(event);
    const parts = [];
    if (event.ctrlKey || event.metaKey) parts.push("mod");
    if (event.altKey) parts.push("alt");
    // For "?" or ">" the shift is part of the character itself.
    if (event.shiftKey && (/^[a-z]$/.test(key) || key.length > 1)) parts.push("shift");
    return [...parts, key].join("+");
  }

  // A control may have several keys: one for the page, one that works while somebody types as well.
  const keysOf = (node) => node.dataset.key.toLowerCase().split(" ");

  // What waits in a closed menu has its key as well; what is hidden otherwise has not.
  const inClosedMenu = (node) => Boolean(node.closest("details[data-menu]:not([open])"));
  const usable = (node) =>
    !node.disabled &&
    (node.offsetParent !== null || inClosedMenu(node)) &&
    !node.closest("[inert], fieldset:disabled");

  function press(node) {
    if (node.matches('[role="tablist"]')) return stepTabs(node);
    if (node.matches("input[type=radio], input[type=checkbox]")) {
      node.focus();
      node.click();
    } else if (node.matches("input, textarea, select")) {
      node.focus();
    } else {
      node.click();
    }
  }

  on("keydown", (event) => {
    if (event.key === "Escape") {
      if (reveal) {
        event.preventDefault();
        cover();
      } else if (!$("dialog[open]") && !event.isComposing && typing(event.target) && !event.target.matches("[type=search]:not(:placeholder-shown)")) {
        // Out of the field, so that single keys work again. What was typed stays.
        event.target.blur();
      }
      for (const menu of $$("details[data-menu][open]")) {
        menu.open = false;
        $("summary", menu).focus();
      }
      return;
    }
    if (event.defaultPrevented || event.isComposing) return;
    const name = keyName(event);
    const combo = name.startsWith("mod+");
    if (!combo && (typing(event.target) || event.altKey || keysOff())) return;

    const dialog = $("dialog[open]");
    if (!dialog && (name === "v" || name === "shift+v") && revealKey(event, name)) return;
    if (event.repeat) return;
    const scope = dialog || document;
    const target = $$("[data-key]", scope).find((node) => keysOf(node).includes(name) && usable(node));
    if (target) {
      event.preventDefault();
      press(target);
      return;
    }
    if (dialog) return;
    if (name === "?") {
      event.preventDefault();
      openKeys();
    } else if (name === "g" && $("[data-reveal-colour]")) {
      setColour(!inColour);
    } else if ((name === "a" || name === "d") && $("[data-evidence-set]")) {
      stepEvidence(name === "a" ? -1 : 1);
    }
  });

  function revealKey(event, name) {
    const card = evidenceInUse();
    if (!card || !card.dataset.revealUrl) return false;
    event.preventDefault();
    if (event.repeat) return true;
    startReveal(card, { timed: name === "shift+v" });
    if (reveal) reveal.byKey = event.code || "unnamed";
    return true;
  }

  // Let go is let go of the key that was pressed, whatever character it gives by now (Option held, another layout).
  // While ⌘ is held a Mac tells of no other key; then letting go of ⌘ has to do.
  on("keyup", (event) => {
    if (!reveal || !reveal.byKey || reveal.timed) return;
    if (!event.code || event.code === reveal.byKey || event.key === "Meta") cover();
  });

  // Space or Enter on the focused hold button: hold with the keyboard as with the pointer.
  on("keydown", (event) => {
    const button = event.target.closest("[data-reveal-hold]");
    if (!button || (event.key !== " " && event.key !== "Enter")) return;
    event.preventDefault();
    if (event.repeat) return;
    startReveal(button.closest("[data-evidence]"));
    if (reveal) reveal.byKey = event.code || "unnamed";
  });

  const KEY_NAMES = { mod: isMac ? "⌘" : "Ctrl", enter: "⏎", shift: "⇧", escape: "Esc", " ": "Space" };
  const prettyKey = (key) =>
    key
      .toLowerCase()
      .split("+")
      .filter(Boolean)
      .map((part) => KEY_NAMES[part] || part.toUpperCase())
      .join(" ");

  function keyLabel(node) {
    if (node.dataset.keyLabel) return node.dataset.keyLabel;
    const label = node.labels && node.labels[0] ? node.labels[0] : node;
    const copy = label.cloneNode(true);
    for (const extra of $$("kbd, small, .count, svg", copy)) extra.remove();
    return node.getAttribute("aria-label") || copy.textContent.replace(/\s+/g, " ").trim();
  }

  function openKeys() {
    const dialog = $("#keys-dialog");
    const list = dialog && $("[data-key-list]", dialog);
    if (!list) return;
    const rows = $$("[data-key]")
      .filter((node) => usable(node))
      .flatMap((node) => keysOf(node).map((key) => [key, keyLabel(node)]));
    if ($("[data-reveal-url]")) {
      rows.push(["v", "Hold to view or hear the original"], ["shift+v", "View or hear it for 5 seconds"], ["escape", "Cover everything at once, or leave a field"], ["g", "Grey or colour"]);
    }
    if ($$("[data-evidence-set] [data-evidence]").length > 1) rows.push(["a", "Previous file"], ["d", "Next file"]);
    if ($("textarea, select, input")) rows.push(["escape", "Leave a field"]);
    rows.push(["?", "This list"]);
    const seen = new Set();
    list.replaceChildren();
    for (const [key, label] of rows) {
      if (seen.has(key)) continue;
      seen.add(key);
      const dt = document.createElement("dt");
      const kbd = document.createElement("kbd");
      kbd.textContent = prettyKey(key);
      dt.append(kbd);
      const dd = document.createElement("dd");
      dd.textContent = label;
      list.append(dt, dd);
    }
    const note = $("[data-keys-off-note]", dialog);
    if (note) note.hidden = !keysOff();
    openDialog(dialog);
  }

  /* ---- Dialogs, menus, tabs, copy ------------------------------------------------------------- */

  function openDialog(dialog) {
    cover();
    if (dialog.open) return;
    dialog.showModal();
    const field = $("textarea, select, input:not([type=hidden])", dialog);
    if (field) field.focus();
  }

  on("click", (event) => {
    const target = event.target.closest("button, a, [data-evidence-to]");
    for (const menu of $$("details[data-menu][open]")) if (!menu.contains(event.target)) menu.open = false;
    if (event.target.matches("dialog")) return event.target.close();
    if (!target) return;

    if (target.dataset.dialogOpen) {
      const dialog = document.getElementById(target.dataset.dialogOpen);
      const menu = target.closest("details[data-menu]");
      if (menu) menu.open = false;
      if (target.dataset.dialogOpen === "keys-dialog") openKeys();
      else if (dialog) openDialog(dialog);
    } else if (target.matches("[data-dialog-close]")) {
      target.closest("dialog").close();
    } else if (target.matches("[data-dismiss]")) {
      target.closest("[data-toast]").remove();
    } else if (target.matches("[data-copy]")) {
      copyText(target);
    } else if (target.matches("[data-unfolds]")) {
      // What a link leads to may lie in a fold. The browser follows the link itself.
      const place = document.getElementById(target.hash.slice(1));
      for (let fold = place && place.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    } else if (target.dataset.evidenceTo) {
      const card = document.getElementById(target.dataset.evidenceTo);
      if (card) showEvidence(card);
      if (card && target.matches("[data-evidence-far]")) {
        // It stands elsewhere on the page: whoever works by keyboard goes on there.
        event.preventDefault();
        card.tabIndex = -1;
        card.focus({ preventScroll: true });
        card.scrollIntoView({ block: "nearest", behavior: "instant" });
      }
    } else if (target.matches("[data-reveal-timed]")) {
      startReveal(target.closest("[data-evidence]"), { timed: true });
    } else if (target.matches("[data-reveal-colour]")) {
      setColour(!inColour);
    } else if (target.matches("[data-tabs] [role=tab]")) {
      selectTab(target);
    }
  });

  async function copyText(button) {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      // No clipboard permission, or plain HTTP on a LAN: the older way still works there.
      const area = document.createElement("textarea");
      area.value = button.dataset.copy;
      area.className = "visually-hidden";
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.dataset.copied = "";
    toast("Copied", "ok");
    setTimeout(() => delete button.dataset.copied, 1500);
  }

  const tabsOf = (list) => $$('[role="tab"]', list);

  function selectTab(tab, focus = false) {
    const list = tab.closest('[role="tablist"]');
    for (const other of tabsOf(list)) {
      const chosen = other === tab;
      other.setAttribute("aria-selected", String(chosen));
      other.tabIndex = chosen ? 0 : -1;
      const panel = document.getElementById(other.getAttribute("aria-controls"));
      if (panel) panel.hidden = !chosen;
    }
    if (focus) tab.focus();
  }

  function stepTabs(list, step = 1, focus = false) {
    const tabs = tabsOf(list);
    const at = tabs.findIndex((tab) => tab.getAttribute("aria-selected") === "true");
    selectTab(tabs[(at + step + tabs.length) % tabs.length], focus);
  }

  on("keydown", (event) => {
    const list = event.target.closest('[data-tabs] [role="tablist"]');
    if (!list) return;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) {
      event.preventDefault();
      stepTabs(list, step, true);
    }
  });

  /* ---- The decision: what cannot go together ------------------------------------------------------ */

  // The rules come with the page (moderation/workflow.py) and the server refuses by the same ones. What becomes
  // impossible loses its tick and gets it back when it is possible again.
  function applyRules(form) {
    const holder = $("[data-rules]", form);
    if (!holder) return;
    const { impossible, implied } = JSON.parse(holder.dataset.rules);
    const boxOf = ([name, value]) => $(`input[name="${name}"][value="${value}"]`, form);
    const stands = (choice) => Boolean(choice && boxOf(choice) && boxOf(choice).checked);
    for (const { choice, when } of implied) {
      const box = boxOf(choice);
      if (!box) continue;
      if (stands(when)) {
        box.checked = true;
        box.dataset.implied = "";
      } else if ("implied" in box.dataset) {
        box.checked = false;
        delete box.dataset.implied;
      }
    }
    const reasons = new Map();
    for (const { choice, when, why } of impossible) {
      const box = boxOf(choice);
      if (box && !reasons.has(box) && (!when || stands(when))) reasons.set(box, why);
    }
    for (const box of $$("input[type=radio], input[type=checkbox]", form)) {
      const isTaken = box.type === "radio" && $(`input[name="${box.name}"]:checked`, form);
      box.disabled = reasons.has(box);
      if (box.disabled && box.checked) {
        box.checked = false;
        box.dataset.aside = "";
      } else if (!box.disabled && "aside" in box.dataset) {
        box.checked = !isTaken;
        delete box.dataset.aside;
      }
    }
    for (const place of $$("[data-impossible]", form)) {
      const said = new Map();
      for (const [box, why] of reasons) {
        if (box.name === place.dataset.impossible) said.set(why, [...(said.get(why) || []), keyLabel(box)]);
      }
      // One choice is named; several greyed ones show themselves which they are.
      const text = [...said].map(([why, names]) => (names.length > 1 ? why : `${names[0]}: ${why}`)).join(" ");
      if (place.textContent !== text) place.textContent = text;
      place.hidden = !text;
    }
  }

  on("change", (event) => {
    const form = event.target.closest("[data-decision]");
    if (!form) return;
    // Ticks of the person's own stay when another policy is looked at; else its usual ones come.
    if (event.target.name === "enforcements") form.elements.own_measures.value = "1";
    if (event.target.matches("input[type=radio], input[type=checkbox]")) applyRules(form);
  });
  // Before another policy is asked for: ticks that were put back by script are the person's own as well.
  on(
    "change",
    ({ target }) => {
      if (target.name !== "policy" || !target.closest("[data-decision]")) return;
      const isOwn = (box) => box.checked !== box.defaultChecked && !("aside" in box.dataset || "implied" in box.dataset);
      if ($$("[name=enforcements]", target.form).some(isOwn)) target.form.elements.own_measures.value = "1";
    },
    { capture: true },
  );
  on("htmx:afterSettle", (event) => {
    const form = event.target.closest && event.target.closest("[data-decision]");
    if (!form || event.target.id !== "policy-choice") return;
    applyRules(form);
    // The sentence below the form was asked for with the ticks of the policy before.
    event.target.dispatchEvent(new Event("change", { bubbles: true }));
  });

  /* ---- Forms: drafts, upload progress, theme ----------------------------------------------------- */

  // Drafts belong to a person: the next one to sign in on this machine must not read them.
  const draftPrefix = () => `draft:${document.body.dataset.user}:`;
  const draftKey = (area) => draftPrefix() + area.dataset.draftKey;
  const readDraft = (area) => {
    try {
      return JSON.parse(store.get(draftKey(area)));
    } catch {
      return null;
    }
  };

  on("input", (event) => {
    const area = event.target.closest("[data-draft-key]");
    if (!area) return;
    if (area.value) store.set(draftKey(area), JSON.stringify({ text: area.value }));
    else store.remove(draftKey(area));
  });

  // While a form is on its way, everything in it is kept, not only its texts: a session may have ended meanwhile,
  // and then nobody has received it. Secrets and files are never kept.
  const KEPT =
    "textarea, select, input:not([type=hidden], [type=password], [type=file], [type=submit], [type=button], [autocomplete=one-time-code])";
  const isTick = (field) => field.matches("[type=radio], [type=checkbox]");
  const formKey = (form) => {
    const path = new URL(form.getAttribute("action") || location.href, location.href).pathname;
    return `${draftPrefix()}form:${path}#${form.id}`;
  };
  const readKept = (form) => {
    try {
      return JSON.parse(store.get(formKey(form)));
    } catch {
      return null;
    }
  };
  const keptFields = (form) =>
    [...form.elements].filter((field) => field.name && field.matches(KEPT));

  function keepForm(form, state) {
    if (!document.body.dataset.user) return;
    for (const area of $$("[data-draft-key]", form)) {
      if (area.value) store.set(draftKey(area), JSON.stringify({ text: area.value, state }));
    }
    // Nor a secret key that was pasted by mistake.
    const fields = keptFields(form).filter((field) => !/AGE-SECRET-KEY|PRIVATE KEY/i.test(field.value));
    if (!fields.length) return;
    const values = fields.map((field) => {
      if (isTick(field)) return [field.name, field.value, field.checked];
      if (field.multiple) return [field.name, [...field.selectedOptions].map((option) => option.value)];
      return [field.name, field.value];
    });
    store.set(formKey(form), JSON.stringify({ page: location.pathname, values, state }));
  }

  // Sent, but not yet known to have been accepted: the next page decides (see settleDrafts).
  function markSent(form) {
    keepForm(form, "sent");
    // The proof of who sends it carries the whole form with it.
    if (form.closest("[data-asks=carries]")) {
      eachDraft((draft) => (draft.state === "asked" ? { ...draft, state: "sent" } : undefined));
    }
  }

  function dropDrafts(form) {
    for (const area of $$("[data-draft-key]", form)) store.remove(draftKey(area));
    store.remove(formKey(form));
  }

  function eachDraft(change) {
    try {
      for (const key of Object.keys(sessionStorage).filter((name) => name.startsWith("draft:"))) {
        const draft = JSON.parse(sessionStorage.getItem(key));
        const after = draft && change(draft, key);
        if (after === null) sessionStorage.removeItem(key);
        else if (after) sessionStorage.setItem(key, JSON.stringify(after));
      }
    } catch {
      /* storage is off, or holds something foreign */
    }
  }

  // What the page that follows says of the form that was sent. Only a page of the person's own that neither refuses
  // nor asks for anything first means that it was accepted. A page for people who are signed out, an error, or a
  // question who is there, means that nothing was recorded. Coming back by the browser's own buttons, or
  // reloading after a lost connection, tells nothing.
  function verdict(visit) {
    if ($("[data-asks]")) return "asked";
    const status = visit ? visit.responseStatus || 0 : 0;
    if (status >= 500) return "unknown";
    if (!document.body.dataset.user) return "unrecorded";
    if ($("[data-refused]")) return "refused";
    // Kept, and something further was refused.
    if ($("[data-saved]")) return "accepted";
    // What does not fit, or no longer: such a page holds the form as it was sent and says what is wrong, in its own words.
    if (status === 409 || status === 422) return "refused";
    if (status >= 400) return "unrecorded";
    return visit && visit.type !== "navigate" ? "unknown" : "accepted";
  }

  function settleDrafts(visit) {
    const found = verdict(visit);
    const isSomebody = Boolean(document.body.dataset.user);
    const forms = new Set($$("form").map(formKey));
    eachDraft((draft, key) => {
      if (isSomebody && !key.startsWith(draftPrefix())) return null;
      // Whoever was asked and went elsewhere instead has not sent it.
      if (draft.state === "asked" && found !== "asked") return { ...draft, state: "unrecorded" };
      if (draft.state !== "sent") return undefined;
      if (found === "accepted") return null;
      if (found === "refused") {
        if (!draft.values) return { ...draft, state: "" };
        // Mostly the page that refuses holds the form as it was sent, with what is wrong in it.
        return forms.has(key) ? null : { ...draft, state: "unrecorded" };
      }
      return { ...draft, state: found };
    });
  }

  const NOT_RECORDED = {
    unrecorded: "Nothing was recorded.",
    unknown: "It is not known whether this was recorded.",
  };
  const leftovers = new WeakMap();

  function restoreDrafts(root = document, visit = null) {
    if (root === document) settleDrafts(visit);
    if (!document.body.dataset.user) sayWhatWaits();
    if (!document.body.dataset.user || $("[data-asks]")) return;
    for (const area of $$("[data-draft-key]", root)) {
      const draft = readDraft(area);
      if (draft && !area.value) area.value = draft.text;
    }
    for (const form of $$("form", document)) {
      if (leftovers.has(form)) fill(form, leftovers.get(form));
      else restoreForm(form);
    }
    if (root === document) sayWhatHasNoForm();
  }

  function restoreForm(form) {
    if ((form.getAttribute("method") || "").toLowerCase() !== "post") return;
    const kept = readKept(form);
    if (!kept || !NOT_RECORDED[kept.state]) return;
    fill(form, kept.values);
    const dialog = form.closest("dialog");
    const place = (dialog && $(".dialog__body", form)) || $(".decide__fields", form) || (form.matches(".card") && $(".card__body", form)) || form;
    const note = banner(
      kept.state,
      kept.state === "unknown"
        ? "Look first whether it is there already. What you had entered stands here again."
        : "Your session had ended, or the server refused. What you had entered stands here again: check it, then send it.",
    );
    const drop = document.createElement("button");
    drop.type = "button";
    drop.className = "button button--small";
    drop.textContent = "Discard what I entered";
    drop.addEventListener("click", () => {
      dropDrafts(form);
      location.reload();
    });
    const actions = document.createElement("div");
    actions.className = "actions";
    actions.append(drop);
    note.append(actions);
    place.prepend(note);
    if (dialog && !dialog.open) openDialog(dialog);
    note.focus();
    for (const other of $$("[data-autofocus]")) delete other.dataset.autofocus;
  }

  // The page that asks who is there says as well what became of what was sent: nothing was recorded of it.
  function sayWhatWaits() {
    const card = $("[data-signs-in]");
    if (!card || $("[data-unsent]")) return;
    let waits = false;
    eachDraft((draft) => {
      if (draft.values && draft.state === "unrecorded") waits = true;
    });
    if (!waits) return;
    const text = "Your session had ended. What you had entered is kept in this tab: sign in, and it stands in its form again. Signing out or closing the tab discards it.";
    card.before(banner("unrecorded", text));
  }

  // The form may not be there any more: somebody else has the case, or it is to be claimed again first.
  function sayWhatHasNoForm() {
    let lost = "";
    const keys = new Set($$("form").map(formKey));
    eachDraft((draft, key) => {
      if (draft.values && NOT_RECORDED[draft.state] && draft.page === location.pathname && !keys.has(key)) lost = draft.state;
    });
    const main = $("#main");
    if (!lost || !main) return;
    main.prepend(banner(lost, "What you had entered is kept in this tab. It stands in its form again as soon as the form is there."));
  }

  function banner(state, text) {
    const note = document.createElement("div");
    note.className = "banner tone-warn";
    note.tabIndex = -1;
    note.dataset.unsent = state;
    note.setAttribute("role", "alert");
    const body = document.createElement("div");
    body.className = "banner__body";
    const title = document.createElement("p");
    title.className = "banner__title";
    title.textContent = NOT_RECORDED[state];
    const more = document.createElement("p");
    more.textContent = text;
    body.append(title, more);
    note.append(body);
    return note;
  }

  // Some fields come only when others are chosen; what has no place yet waits for them.
  function fill(form, values) {
    const waiting = [];
    const touched = [];
    for (const entry of values) {
      const [name, value, isChecked] = entry;
      const named = keptFields(form).filter((field) => field.name === name);
      const field = entry.length === 3 ? named.find((each) => each.value === value) : named.find((each) => !isTick(each));
      if (!field) {
        waiting.push(entry);
      } else if (entry.length === 3) {
        if (field.checked !== isChecked) touched.push(field);
        field.checked = isChecked;
      } else if (field.multiple) {
        for (const option of field.options) option.selected = value.includes(option.value);
      } else if (field.matches("select") && ![...field.options].some((option) => option.value === value)) {
        waiting.push(entry);
      } else if (field.value !== value) {
        field.value = value;
        touched.push(field);
      }
    }
    leftovers.set(form, waiting);
    const tell = () => {
      for (const field of touched) field.dispatchEvent(new Event("change", { bubbles: true }));
    };
    // What follows from a choice is asked for by htmx, which begins to listen once the page is there.
    if (document.readyState === "complete") tell();
    else window.addEventListener("load", tell, { once: true });
  }

  // Further typing in a form that was not recorded is kept with it.
  for (const type of ["input", "change"]) {
    on(type, (event) => {
      const form = event.target.form;
      const kept = form && leftovers.has(form) && readKept(form);
      if (kept && NOT_RECORDED[kept.state] && !leftovers.get(form).length) keepForm(form, kept.state);
    });
  }

  on("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-sign-out]")) store.clear();
    if (form.matches("[data-theme-form]")) return setTheme(event, form);
    if (form.hasAttribute("data-upload-progress")) return upload(event, form);
    if (form.matches("[hx-post], [hx-put], [hx-delete], [hx-get]") || form.method !== "post") return;
    // A second press while the first is on its way would be a second request.
    if (form.dataset.sending) return event.preventDefault();
    if (form.hasAttribute("data-needs-connection") && !form.dataset.connected) return askFirst(event, form);
    delete form.dataset.connected;
    markSent(form);
    hold(form, event.submitter);
    // A download answers without leaving the page: let it be pressed again.
    setTimeout(() => release(form), 8000);
  });

  // Sending into nothing would end on the browser's own error page, so the server is asked for a sign of life first.
  // One that is slow is sent to all the same.
  const PATIENCE_MS = 3000;

  async function askFirst(event, form) {
    const { submitter } = event;
    event.preventDefault();
    hold(form, submitter);
    const isAway = await Promise.race([
      navigator.onLine ? fetch($("link[rel=icon]").href, { method: "HEAD", cache: "no-store" }).then(() => false, () => true) : true,
      new Promise((done) => setTimeout(() => done(false), PATIENCE_MS)),
    ]);
    release(form);
    if (isAway) return toast("No connection to the server. Nothing was changed; what you typed is kept.", "danger");
    if (!form.isConnected) return;
    form.dataset.connected = "1";
    form.requestSubmit(submitter);
  }

  /* A form that is being sent: not sent again, and shown as busy once that can be noticed. */

  const BUSY_MS = 200;
  const waits = new WeakMap();

  function hold(form, button) {
    form.dataset.sending = "1";
    form.setAttribute("aria-busy", "true");
    clearTimeout(waits.get(form));
    waits.set(form, setTimeout(() => {
      form.dataset.slow = "";
      progress(1);
      if (button) button.dataset.busy = "";
    }, BUSY_MS));
  }

  function release(form) {
    clearTimeout(waits.get(form));
    delete form.dataset.sending;
    form.removeAttribute("aria-busy");
    for (const button of $$("[data-busy]", form)) delete button.dataset.busy;
    if (!("slow" in form.dataset)) return;
    delete form.dataset.slow;
    progress(-1);
  }

  // The thin line at the upper edge: something is on its way.
  let onTheWay = 0;
  function progress(step) {
    onTheWay = Math.max(0, onTheWay + step);
    document.documentElement.toggleAttribute("data-progress", onTheWay > 0);
  }

  window.addEventListener("pageshow", () => {
    $$("form[data-sending]").forEach(release);
    onTheWay = 0;
    progress(0);
  });

  on("click", (event) => {
    const link = event.target.closest("a[href]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (link.target || link.hasAttribute("download") || link.matches("[hx-get]") || link.origin !== location.origin) return;
    if (link.hash && link.pathname === location.pathname && link.search === location.search) return;
    setTimeout(() => progress(1), BUSY_MS);
    setTimeout(() => progress(-1), 8000);
  });

  function setTheme(event, form) {
    const button = event.submitter;
    if (!button) return;
    event.preventDefault();
    const theme = button.value;
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    for (const other of $$("button[name=theme]", form)) other.setAttribute("aria-pressed", String(other === button));
    post(form.action, { theme, next: location.pathname }).catch(() => {});
  }

  function upload(event, form) {
    const bar = $("[data-upload-bar]", form);
    if (!bar || !$$("input[type=file]", form).some((input) => input.files.length)) return markSent(form);
    event.preventDefault();
    if (form.getAttribute("aria-busy") === "true") return;
    markSent(form);
    form.setAttribute("aria-busy", "true");
    bar.hidden = false;
    const progress = $("progress", bar);
    const text = $("[data-upload-text]", bar);
    const percent = $("[data-upload-percent]", bar);
    const fail = (sentence) => {
      form.removeAttribute("aria-busy");
      bar.hidden = true;
      toast(sentence, "danger");
    };
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("X-CSRFToken", csrfToken());
    request.upload.addEventListener("progress", (step) => {
      if (!step.lengthComputable) return;
      const share = Math.floor((100 * step.loaded) / step.total);
      progress.value = share;
      percent.textContent = `${share} %`;
      text.textContent = share < 100 ? "Uploading…" : "Received, being stored…";
    });
    request.addEventListener("load", () => {
      const type = request.getResponseHeader("Content-Type") || "";
      if (request.status >= 500 || !type.includes("html")) {
        return fail(request.status === 413 ? sentenceOf(request) : "The upload was not accepted. Nothing was saved; try again.");
      }
      showPage(request.responseText, request.responseURL, request.status);
    });
    request.addEventListener("error", () => fail("The connection was lost. Nothing was saved; try again."));
    const data = new FormData(form, event.submitter && event.submitter.name ? event.submitter : undefined);
    request.send(data);
  }

  function sentenceOf(request) {
    try {
      const body = JSON.parse(request.responseText);
      return body.detail || body.title;
    } catch {
      return "One of the files is larger than allowed.";
    }
  }

  // The answer to an upload is a whole page: put it in place of this one, messages included.
  function showPage(html, url, status) {
    const page = new DOMParser().parseFromString(html, "text/html");
    document.title = page.title;
    if (url && url !== location.href) history.pushState({}, "", url);
    shownAddress = withoutPlace();
    document.body.replaceWith(page.body);
    if (window.htmx) htmx.process(document.body);
    readClock();
    initialise(document, false, { type: "navigate", responseStatus: status });
    scrollTo(0, 0);
    const focus = $("[data-autofocus]") || $("#main");
    if (focus) focus.focus();
  }
  // A link to a place of this page is a step in the history as well, and no reason to load anything: what was uncovered
  // or typed here stays.
  const withoutPlace = () => location.href.split("#")[0];
  let shownAddress = withoutPlace();
  for (const type of ["htmx:pushedIntoHistory", "htmx:replacedInHistory"]) on(type, () => (shownAddress = withoutPlace()));
  window.addEventListener("popstate", () => withoutPlace() !== shownAddress && location.reload());

  /* ---- File drop --------------------------------------------------------------------------------- */

  const size = (bytes) =>
    bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${(bytes / 1024).toFixed(0)} KB` : `${(bytes / 1048576).toFixed(1)} MB`;

  on("change", (event) => {
    const field = event.target.closest("[data-drop]");
    if (!field || event.target.type !== "file") return;
    const list = $("[data-drop-files]", field.parentElement);
    if (!list) return;
    list.replaceChildren(
      ...[...event.target.files].map((file) => {
        const item = document.createElement("li");
        const name = document.createElement("span");
        name.className = "anywhere";
        name.textContent = file.name;
        const note = document.createElement("span");
        note.className = "muted nowrap";
        note.textContent = size(file.size);
        item.append(name, note);
        return item;
      }),
    );
  });
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    on(type, (event) => {
      const field = event.target.closest && event.target.closest("[data-drop]");
      if (field) field.classList.toggle("drop--over", type === "dragenter" || type === "dragover");
    });
  }

  /* ---- htmx ----------------------------------------------------------------------------------------- */

  // Before the swap, so that the fresh, empty form is not filled with the text just sent. An answer that leads
  // elsewhere, or asks who is there, has not taken it.
  function accepted({ xhr, requestConfig }) {
    if (!xhr || !requestConfig) return;
    const form = requestConfig.elt.closest("form");
    if (!form) return;
    // Also when the form only asked what would follow: the answer leads to sign-in at once.
    if (xhr.status === 401) return keepForm(form, "unrecorded");
    if (requestConfig.verb === "get") return;
    if (xhr.getResponseHeader("HX-Retarget") === "#main") return keepForm(form, "asked");
    if (xhr.status < 300 && xhr.getResponseHeader("HX-Redirect")) return keepForm(form, "sent");
    if (xhr.status === 403) return keepForm(form, "unrecorded");
    if (xhr.status < 300) dropDrafts(form);
  }

  on("htmx:beforeSwap", (event) => {
    const { xhr } = event.detail;
    const text = event.detail.serverResponse || "";
    if (!/^\s*<!doctype html/i.test(text)) return;
    // A whole page where a fragment was wanted: signed out meanwhile, or a refusal page.
    event.detail.shouldSwap = false;
    if (xhr.status >= 400) {
      const page = new DOMParser().parseFromString(text, "text/html");
      const sentence = $("[data-refused-text]", page) || $("h1", page);
      toast(sentence ? sentence.textContent.trim() : "This was refused.", "danger");
    } else {
      location.assign(xhr.responseURL || location.href);
    }
  });
  on("htmx:responseError", (event) => {
    const { status } = event.detail.xhr;
    if (/^\s*<!doctype html/i.test(event.detail.xhr.responseText) && status !== 404 && status < 500) return;
    const sentences = {
      403: "Your role does not allow this.",
      404: "This is no longer there, or not for you to see.",
      413: "One of the files is larger than allowed.",
      429: "Too many requests. Wait a moment and try again.",
    };
    toast(sentences[status] || "Something went wrong. Nothing was changed; try again.", "danger");
  });
  on("htmx:sendError", () => toast("No connection to the server. Nothing was changed.", "danger"));
  on("htmx:afterRequest", (event) => {
    accepted(event.detail);
    const { elt } = event.detail;
    if (elt.matches("form")) release(elt);
  });
  on("htmx:beforeRequest", (event) => {
    const { elt, requestConfig } = event.detail;
    if (elt.matches("form") && requestConfig.verb !== "get") {
      if (elt.dataset.sending) return event.preventDefault();
      hold(elt, requestConfig.triggeringEvent && requestConfig.triggeringEvent.submitter);
    }
    // A fragment that replaces the media being looked at must not leave it on the page.
    if (reveal && event.detail.target && event.detail.target.contains(reveal.card)) cover();
  });
  on("htmx:beforeSwap", (event) => {
    accepted(event.detail);
    if (reveal && event.detail.target && event.detail.target.contains(reveal.card)) cover();
  });
  on("htmx:afterSettle", (event) => initialise(event.detail.elt.isConnected ? event.detail.elt : document, true));
  // Before anything is painted or measured: a countdown is shorter than the time of day it replaces.
  on("htmx:afterSwap", tick);
  on("htmx:oobAfterSwap", (event) => initialise(event.detail.target, true));
  on("toast", (event) => {
    const detail = event.detail || {};
    if (detail.text || typeof detail.value === "string") toast(detail.text || detail.value, detail.tone);
  });

  // What was counted for other values than a form holds by now is not offered any more.
  on("input", (event) => {
    if (event.target.form) for (const node of $$("[data-if-unchanged]", event.target.form)) node.hidden = true;
  });

  // Another tab may have undone it meanwhile.
  on("visibilitychange", () => {
    if (!document.hidden && $("#undo-bar [data-undo]")) document.body.dispatchEvent(new CustomEvent("holdfast:undo"));
  });

  /* ---- Start ------------------------------------------------------------------------------------------ */

  function initialise(root, swapped = false, visit = null) {
    const scope = root === document ? document : root.parentElement || root;
    for (const list of $$('[data-tabs] [role="tablist"]', scope)) {
      const tabs = tabsOf(list);
      const asked = root === document && tabs.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash);
      if (asked) selectTab(asked);
      else if (tabs.length && !tabs.some((tab) => tab.hasAttribute("aria-selected"))) selectTab(tabs[0]);
      else if (tabs.length) selectTab(tabs.find((tab) => tab.getAttribute("aria-selected") === "true") || tabs[0]);
    }
    for (const set of $$("[data-evidence-set]", scope)) {
      const cards = $$("[data-evidence]", set);
      const linked = root === document && cards.find((card) => `#${card.id}` === location.hash);
      const active = linked || cards.find((card) => card.hasAttribute("data-active")) || cards[0];
      if (active) showEvidence(active);
    }
    for (const select of $$("[data-reveal-purpose]", scope)) {
      if (purpose) select.value = purpose;
      else if (select.value) purpose = select.value;
    }
    for (const form of $$("[data-decision]", scope)) applyRules(form);
    for (const hint of $$("[data-key-hint]", scope)) hint.textContent = prettyKey(hint.dataset.keyHint);
    if (leaseLost()) for (const node of $$("[data-needs-lease]", scope)) node.disabled = true;
    armToasts();
    restoreDrafts(swapped ? scope : root, visit);
    // Only what came in may take the focus: a bar that loads by itself must not move it elsewhere.
    if (swapped && root instanceof Element) {
      const focus = root.matches("[data-autofocus]") ? root : $("[data-autofocus]", root);
      if (focus) focus.focus();
    }
    tick();
  }

  readClock();
  initialise(document, false, performance.getEntriesByType("navigation")[0]);
  const wanted = $("[data-autofocus]");
  // A button that waits for Enter need not push the heading of its page out of sight.
  if (wanted) wanted.focus({ preventScroll: wanted.matches("button") });

  // The page is told how high the dock is, and ends above it. It is not told when the dock gets lower again: nothing
  // moves under a pointer because a sentence has left.
  const dock = $("#dock");
  let reserved = 0;
  function reserve() {
    const height = Math.ceil(dock.getBoundingClientRect().height);
    if (height <= reserved) return;
    reserved = height;
    document.documentElement.style.setProperty("--dock", `${height}px`);
    // What somebody is typing in must not end up below it.
    const field = document.activeElement;
    if (field && field !== document.body && $("#main").contains(field)) field.scrollIntoView({ block: "nearest" });
  }
  // Browsers bring up the line of the caret; the rest of the box would stay behind what stands below it.
  on("focusin", ({ target }) => target.matches("textarea") && target.scrollIntoView({ block: "nearest" }));
  if (dock) {
    new ResizeObserver(reserve).observe(dock);
    reserve();
  }

  // The panel of a decision ends above the dock, from where it really begins: the more of the page's head is scrolled
  // away, the higher it gets.
  let isFitting = false;
  function fit() {
    isFitting = false;
    const panel = $(".case-layout__decide");
    if (!panel) return;
    const top = Math.max(0, Math.round(panel.getBoundingClientRect().top));
    panel.style.setProperty("--panel-top", `${top}px`);
  }
  function fitSoon() {
    if (!isFitting) requestAnimationFrame(fit);
    isFitting = true;
  }
  window.addEventListener("scroll", fitSoon, { passive: true });
  window.addEventListener("resize", fitSoon);
  fit();
  setInterval(() => {
    tick();
    watchReveal();
    beat();
  }, 1000);
})();
