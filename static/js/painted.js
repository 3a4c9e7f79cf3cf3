/* What of an original was really on the screen. app.js starts it when the cover comes off and stops it before the
   cover is back. Counts only while half of the picture lies in the window of a visible page and has something to
   show; a film counts where its time went on by playing. The rules are in moderation/viewing.py. */
(() => {
  "use strict";

  const HALF = 0.49; // Half, and what rounding takes off it.
  const LONGEST_GAP = 1000; // Between two frames of the page, in ms: what is longer was no painting.
  const FASTEST = 2;
  const MOST = 400;

  window.holdfastPainting = (node) => {
    const isFilm = node instanceof HTMLVideoElement;
    const stretches = [];
    const ranges = [];
    let inWindow = false;
    let isOver = false;
    let counted = false;
    let before = 0;
    let stretch = 0;
    let position = null;

    const observer = new IntersectionObserver(
      (entries) => {
        inWindow = entries[entries.length - 1].intersectionRatio >= HALF;
      },
      { threshold: [0, HALF, 0.75, 1] },
    );
    observer.observe(node);

    const isPainted = () =>
      inWindow && !document.hidden && (isFilm ? node.readyState >= 2 : node.complete && node.naturalWidth > 0);

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
        observer.disconnect();
        if (counted && isPainted()) add(performance.now());
        finish();
        const film = isFilm && Number.isFinite(node.duration) ? Math.round(node.duration * 1000) : 0;
        const played = ranges.map((range) => range.map((each) => Math.round(each * 1000)));
        return { painted: stretches, played, film };
      },
    };
  };
})();
