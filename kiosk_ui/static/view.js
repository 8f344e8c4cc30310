/* Drawing what the board knows: the answer, the last scans, the lamps. Reads the board, changes only the page. */

import { byId, el, icon } from "./dom.js";
import { clockTime, dayText, getLanguage, otherLanguage, outcomeWords, pick, sexWord, t } from "./words.js";

const TONES = ["ok", "info", "warn", "stop", "down"];

function shortNumber(last4) { return last4 ? t("last4", { n: last4 }) : ""; }

function when(iso, nowMs) {
  const at = Date.parse(iso);
  if (Number.isNaN(at)) return "";
  return dayText(at) === dayText(nowMs) ? clockTime(at) : dayText(at) + " " + clockTime(at);
}

/** What is enough to tell a person by, and no more: an inpatient by bed, an outpatient by card. */
function facts(scan) {
  const { patient, visit } = scan;
  const rows = [];
  const add = (key, value) => { if (value !== null && value !== undefined && value !== "") rows.push([t("fact." + key), String(value), key]); };
  if (visit) {
    add("bed", visit.bed);
    add("ward", visit.ward);
    add("admission", shortNumber(visit.admission_no_last4));
  }
  if (patient) {
    add("sex", sexWord(patient.sex));
    add("age", patient.age === null || patient.age === undefined ? "" : t("age", { n: patient.age }));
    add("card", shortNumber(patient.card_last4));
    if (!patient.card_last4 && !visit) add("id", shortNumber(patient.id_last4));
    if (!visit) add("kind", t("kind." + patient.kind));
  }
  return rows.length
    ? el("dl.facts", null, ...rows.map(([name, value, key]) => el("div.fact.fact-" + key, null, el("dt", null, name), el("dd.ph-num", null, value))))
    : null;
}

/** The colour band with its icon and one word, and the same word small in the other language. */
function band(words) {
  const second = otherLanguage();
  return el("div.ph-band.ph-band--" + words.tone, null, icon(words.icon),
    el("p.word", null, pick(words.word)),
    el("p.word-second", { lang: second }, pick(words.word, second)));
}

export function drawAnswer(board) {
  const scan = board.answer && board.answer.scan;
  const box = byId("result");
  byId("idle").hidden = Boolean(scan);
  document.body.dataset.state = scan ? "answer" : "idle";
  document.body.dataset.outcome = scan ? scan.outcome : "";
  for (const tone of TONES) document.body.classList.remove("tone-" + tone);
  if (!scan) { box.replaceChildren(); return; }
  const words = outcomeWords(scan.outcome);
  document.body.classList.add("tone-" + words.tone);
  const first = scan.first_scan && words.tone !== "ok"
    ? el("p.first", null, icon("history"),
      t("first", { at: when(scan.first_scan, board.now()) }) + (scan.first_station ? ", " + scan.first_station : ""))
    : null;
  const next = scan.next && pick(scan.next.label);
  box.replaceChildren(band(words), el("div.detail" + (scan.patient ? "" : ".detail-bare"), null,
    scan.patient ? el("p.name", { translate: "no" }, scan.patient.name) : null,
    facts(scan),
    first,
    el("div.ending", null,
      scan.outcome === "identified" ? null : el("p.say", null, pick(scan.say)), // the word has said it
      next ? el("p.next", null, icon("chevron-right"), el("span", null, next)) : null),
    el("p.at.ph-quiet", null, el("time", { datetime: scan.at }, clockTime(Date.parse(scan.at))))));
}

export function drawRecent(board) {
  const list = byId("recent");
  if (!list) return;
  byId("recent-empty").hidden = board.recent.length > 0;
  list.replaceChildren(...board.recent.map((entry) => {
    const { scan } = entry;
    const words = outcomeWords(scan.outcome);
    return el("li.scan.scan-" + words.tone + (entry === board.answer ? ".scan-now" : ""), { "data-seq": String(scan.seq) },
      icon(words.icon),
      el("span.scan-word", null, pick(words.word)),
      el("span.scan-name", { translate: "no" }, scan.patient ? scan.patient.name : ""),
      el("time.scan-at", { datetime: scan.at }, clockTime(Date.parse(scan.at))));
  }));
}

const LAMP = { online: "on", degraded: "wait", connecting: "wait", backoff: "wait", failed: "off", offline: "off", missing: "wait" };

function lamp(name, state, reason) {
  const tone = LAMP[state] ? ".ph-lamp--" + LAMP[state] : "";
  const item = el("li.ph-lamp" + tone, null, el("span.lamp-name", null, name), el("span.lamp-state", null, t("state." + state) || t("state.unknown")));
  if (reason) item.title = reason;
  return item;
}

/** Lamps tell only what is known: while the line is cut nothing is known of scanners and HIS. */
export function drawLamps(board, line) {
  const cut = line !== "online";
  const devices = board.devices.length
    ? board.devices.map((device) => lamp(device.name || device.code, cut ? "unknown" : device.state, device.reason))
    : [lamp(t("lamp.device"), cut ? "unknown" : "missing", "")];
  byId("lamps").replaceChildren(lamp(t("lamp.server"), line, ""), lamp(t("lamp.his"), cut ? "unknown" : board.his, ""), ...devices);
  drawTrouble(board, cut);
}

function drawTrouble(board, cut) {
  const old = byId("trouble");
  const deaf = board.deafness();
  const key = cut ? "" : board.his === "offline" ? "his" : deaf;
  if (!key) { if (old) old.remove(); return; }
  const text = t("trouble." + key);
  if (old && old.textContent.trim() === text) return;
  const box = el("div.ph-notice.ph-notice--warn.trouble", { id: "trouble", role: "status" }, icon("triangle-alert"), el("p", null, text));
  if (old) old.replaceWith(box); else byId("answer").append(box);
}

export function drawClock(board) {
  const now = board.now();
  const clock = byId("clock");
  clock.replaceChildren(el("span.clock-day", null, dayText(now)), " ", el("b", null, clockTime(now)));
  clock.setAttribute("datetime", new Date(now).toISOString());
}

/** Fill every fixed text of the page in the language chosen. */
export function drawTexts(keepSeconds) {
  document.documentElement.lang = getLanguage();
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t, { n: keepSeconds });
  for (const node of document.querySelectorAll("[data-second]")) {
    node.lang = otherLanguage();
    node.textContent = t(node.dataset.second, null, otherLanguage());
  }
}

export function drawSound(state) {
  const chip = byId("sound");
  chip.replaceChildren(icon(state === "on" ? "volume-2" : "volume-x"), " ", el("span", { "data-t": "sound." + state }, t("sound." + state)));
  chip.dataset.state = state;
}
