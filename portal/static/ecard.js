/* Shows the right code at every moment for ten minutes without network, by the server's clock; ES2017.
   Time: the server's epoch when it drew the page plus performance.now() since; the phone's own clock is never believed,
   except for how long the page slept in the background, where performance.now() may stand still. */
(function () {
  "use strict";
  var setup = JSON.parse(document.getElementById("pass-setup").textContent);
  var words = setup.words;
  var STEP = setup.step_s;
  var RENEW_BELOW = 14; // codes left: fetch more while there is network
  var TICK_MS = 5000; // how long a tick stays
  var WAIT_MS = 4000; // a request that takes longer counts as no signal
  var $ = function (id) { return document.getElementById(id); };
  var pass = $("pass"), qr = $("pass-qr"), bar = $("pass-bar"), digits = $("pass-digits");

  var codes = {}; // step -> [step, text, qr, widths]
  var last = 0; // greatest step held
  var first = 0; // least step allowed: one past the code that was used
  var drawn = -1;
  var since = Math.round(setup.epoch * 1000);
  var zero; // server epoch at performance.now() == 0
  var tickUntil = 0;
  var ended = false;
  var offline = false;
  var slept = null;
  var asking = false;

  function hold(body, at) {
    zero = body.epoch - at / 1000;
    codes = {};
    body.codes.forEach(function (code) { codes[code[0]] = code; });
    first = Math.max(first, body.codes[0][0]); // the server leaves out a code that was used
    last = body.codes[body.codes.length - 1][0];
  }

  /* performance.now() of the moment the first byte of this page came: the server's epoch is not later than that. */
  function pageAt() {
    var entry = performance.getEntriesByType ? performance.getEntriesByType("navigation")[0] : null;
    return entry && entry.responseStart > 0 ? entry.responseStart : performance.now();
  }

  function now() { return zero + performance.now() / 1000; }

  // ---------------------------------------------------------------- drawing

  function qrPath(packed) {
    var bytes = atob(packed);
    var size = Math.floor(Math.sqrt(bytes.length * 8));
    var path = "";
    for (var y = 0; y < size; y++) {
      for (var x = 0; x < size; x++) {
        var run = 0;
        while (x + run < size && dark(bytes, y * size + x + run)) run++;
        if (run) {
          path += "M" + (x + 4) + " " + (y + 4) + "h" + run + "v1h-" + run + "z";
          x += run;
        }
      }
    }
    return { path: path, span: size + 8 };
  }

  function dark(bytes, at) { return (bytes.charCodeAt(at >> 3) >> (7 - (at & 7))) & 1; }

  function barPath(widths) {
    var x = 10;
    var path = "";
    for (var i = 0; i < widths.length; i++) {
      var w = Number(widths[i]);
      if (i % 2 === 0) path += "M" + x + " 0h" + w + "v40h-" + w + "z";
      x += w;
    }
    return { path: path, span: x + 10 };
  }

  function draw(code) {
    if (drawn === code[0]) return;
    var square = qrPath(code[2]), line = barPath(code[3]);
    qr.setAttribute("viewBox", "0 0 " + square.span + " " + square.span);
    qr.firstElementChild.setAttribute("d", square.path);
    bar.setAttribute("viewBox", "5 0 " + (line.span - 10) + " 40");
    bar.setAttribute("width", String(2 * (line.span - 10))); // whole pixels
    bar.firstElementChild.setAttribute("d", line.path);
    digits.textContent = code[1].replace(/(.{4})(?=.)/g, "$1 ");
    drawn = code[0];
  }

  // ---------------------------------------------------------------- the moment

  function step() {
    var current = Math.floor(now() / STEP);
    return Math.min(Math.max(current, first), current + 1); // one step ahead is still accepted
  }

  function show(state) {
    pass.setAttribute("data-state", state);
    var off = state === "expired" || state === "ended";
    $("pass-codes").hidden = off;
    $("pass-expired").hidden = state !== "expired";
    $("pass-ended").hidden = state !== "ended";
    $("pass-tick").hidden = state !== "scanned";
    $("pass-warn").hidden = state !== "warned";
    if (state === "ready") $("pass-ring").removeAttribute("hidden");
    else $("pass-ring").setAttribute("hidden", "");
    $("pass-say").hidden = off;
    if (off) digits.textContent = ""; // a hidden code must not be read out either
    if (off) drawn = -1;
  }

  function paint() {
    if (ended) return;
    var at = step();
    var code = codes[at];
    if (!code) {
      show("expired");
      note();
      return;
    }
    draw(code);
    if (performance.now() < tickUntil) return;
    if (pass.getAttribute("data-state") !== "ready" || $("pass-ring").hasAttribute("hidden")) {
      show("ready");
      $("pass-say").textContent = words.ready;
    }
    var left = Math.max(1, Math.ceil((at + 1) * STEP - now()));
    $("pass-left").textContent = left;
    $("pass-hand").setAttribute("stroke-dashoffset", String(100 - Math.min(100, (left / STEP) * 100)));
    note();
  }

  function note() {
    var left = (last + 1) * STEP - now();
    var minutes = Math.max(1, Math.floor(left / 60)); // rather promise less
    var shown = offline && left > 0;
    $("pass-offline").hidden = !shown;
    var text = shown ? words.offline.replace("{n}", minutes) : "";
    if ($("pass-offline-say").textContent !== text) $("pass-offline-say").textContent = text;
  }

  function end(text) {
    ended = true;
    $("pass-ended-say").textContent = text;
    offline = false;
    note();
    show("ended");
  }

  function scanned(scan) {
    if (scan.at <= since) return;
    since = scan.at;
    if (scan.accepted || scan.outcome === "replayed") first = step() + 1; // used up, here or elsewhere
    tickUntil = performance.now() + TICK_MS;
    show(scan.accepted ? "scanned" : "warned");
    var where = words.scanned.replace("{place}", scan.place).replace("{time}", scan.time);
    $("pass-say").textContent = scan.accepted ? where : scan.say;
    paint();
  }

  // ---------------------------------------------------------------- network

  async function ask(url) {
    var abort = window.AbortController ? new AbortController() : null;
    var timer = abort ? setTimeout(function () { abort.abort(); }, WAIT_MS) : 0;
    try {
      var answer = await fetch(url, {
        headers: { Accept: "application/json" },
        credentials: "same-origin",
        cache: "no-store",
        signal: abort ? abort.signal : undefined
      });
      if (answer.status === 404) return end(words.gone);
      if (answer.status === 401) return end(words.signed_out);
      if (!answer.ok) throw new Error(String(answer.status));
      var body = await answer.json();
      offline = false;
      return body;
    } catch (lost) {
      offline = true;
      return null;
    } finally {
      clearTimeout(timer);
      if (!ended) note();
    }
  }

  async function renew(byHand) {
    if (asking || ended) return;
    asking = true;
    var before = performance.now();
    var body = await ask(setup.urls.codes);
    asking = false;
    if (!body) return;
    hold(body, (before + performance.now()) / 2);
    drawn = -1;
    if (byHand) {
      tickUntil = performance.now() + 1200;
      show("ready");
      $("pass-say").textContent = words.refreshed;
    }
    paint();
  }

  async function poll() {
    if (!document.hidden && !ended) {
      var body = await ask(setup.urls.status + "?since=" + since);
      if (body && body.scan) scanned(body.scan);
      if (body && last - step() < RENEW_BELOW) await renew(false);
    }
    if (!ended) setTimeout(poll, setup.poll_ms);
  }

  // ---------------------------------------------------------------- waking

  function hide() { slept = { at: performance.now(), wall: Date.now() }; }

  function wake() {
    if (slept) {
      var missed = (Date.now() - slept.wall) - (performance.now() - slept.at);
      if (missed > 2000) zero += missed / 1000; // asleep: only the length counts, and renew() corrects it at once
      slept = null;
    }
    paint();
    renew(false);
    stayAwake();
  }

  function stayAwake() {
    if (navigator.wakeLock && !document.hidden) navigator.wakeLock.request("screen").catch(function () {});
  }

  hold(setup, pageAt());
  drawn = codes[step()] ? -1 : drawn;
  document.addEventListener("visibilitychange", function () { if (document.hidden) hide(); else wake(); });
  window.addEventListener("pageshow", function (event) { if (event.persisted) wake(); });
  window.addEventListener("online", function () { renew(false); });
  window.addEventListener("offline", function () { offline = true; note(); });
  $("pass-refresh").addEventListener("click", function (event) {
    event.preventDefault();
    if (ended) location.reload();
    else renew(true);
  });
  paint();
  setInterval(paint, 250);
  setTimeout(poll, setup.poll_ms);
  stayAwake();
})();
