/* What of an original was really on the screen. app.js starts it when the cover comes off and stops it before the
   cover is back. Counts only while half of the picture lies in the window of a visible page, with nothing of the page on
   it, and has something to show; a film counts where its time went on by playing, and sound where it is heard. The rules are in moderation/viewing.py. */
(() => {
  "use strict";

  const POINTS = 6; // Across and down: what lies over a picture (the dock, a message) takes the points that it covers.
  const HALF = 0.5;
  const LONGEST_GAP = 1000; // Between two frames of the page, in ms: what is longer was no painting.
  const FASTEST = 2;
  const MOST = 400;

  /** Returns which share of a picture is in the window with nothing of the page on it, from 0 to 1. */
  window.holdfastShareInSight = (node) => {
    const box = node.getBoundingClientRect();
    if (!box.width || !box.height) return 0;
    let seen = 0;
    for (let row = 0; row < POINTS; row++) {
      for (let column = 0; column < POINTS; column++) {
        const x = box.left + (box.width * (column + 0.5)) / POINTS;
        const y = box.top + (box.height * (row + 0.5)) / POINTS;
        if (document.elementFromPoint(x, y) === node) seen += 1;
      }
    }
    return seen / POINTS ** 2;
  };

  window.holdfastPainting = (node) => {
    const isSound = node instanceof HTMLAudioElement;
    const isFilm = isSound || node instanceof HTMLVideoElement;
    const stretches = [];
    const ranges = [];
    let isOver = false;
    let counted = false;
    let before = 0;
    let stretch = 0;
    let position = null;

    const isPainted = () =>
      !document.hidden &&
      (isFilm ? node.readyState >= 2 : node.complete && node.naturalWidth > 0) &&
      (isSound ? !node.paused && !node.muted && node.volume > 0 : window.holdfastShareInSight(node) >= HALF);

    function follow(passed) {
      const now = node.currentTime;
      const furthest = (passed / 1000) * FASTEST + 0.1;
      const hasPlayed = position !== null && now > position && now - position <= furthest;
      if (hasPlayed && !node.seeking && node.playbackRate <= FASTEST) {
        const last = ranges[ranges.length - 1];
        if (last && last[1] === position) last[1] = now;
        else if (ranges.length < MOST) ranges.push([position, now]);
      }
      position = node.seeking ? null : now;
    }

    function add(now) {
      const passed = Math.min(now - before, LONGEST_GAP);
      if (passed <= 0) return;
      stretch += passed;
      if (isFilm) follow(passed);
    }

    function finish() {
      if (stretch > 0 && stretches.length < MOST) stretches.push(Math.floor(stretch));
      stretch = 0;
      position = null;
    }

    function frame(now) {
      if (isOver) return;
      const counts = isPainted();
      if (counts && counted) add(now);
      else if (counts && isFilm) position = node.currentTime;
      else if (counted) finish();
      counted = counts;
      before = now;
      requestAnimationFrame(frame);
    }
    requestAnimationFrame(frame);

    return {
      /** Ends it; returns stretches, ranges of a film and its length, in ms. */
      stop() {
        isOver = true;
        if (counted && isPainted()) add(performance.now());
        finish();
        const film = isFilm && Number.isFinite(node.duration) ? Math.round(node.duration * 1000) : 0;
        const played = ranges.map((range) => range.map((each) => Math.round(each * 1000)));
        return { painted: stretches, played, film };
      },
    };
  };
})();
