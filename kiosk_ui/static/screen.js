/* One station's screen: ties the line, the board, the drawing, the sound and the pairing form together. */

import { byId, keepIcons } from "./dom.js";
import { Link } from "./link.js";
import { Board } from "./model.js";
import { Pairing } from "./pair.js";
import { Sound } from "./sound.js";
import { drawAnswer, drawClock, drawLamps, drawRecent, drawSound, drawTexts } from "./view.js";
import { getLanguage, otherLanguage, outcomeWords, setLanguage } from "./words.js";

const RETRY_MS = 15000;   // a refused screen asks again by itself: nobody may be there to press a button
const SOUND_AGE_MS = 5000; // what was missed during an outage is listed, not played

const data = document.body.dataset;
const keepSeconds = Number(data.keep);
const board = new Board(keepSeconds * 1000);
let line = "connecting";
let refusal = null;

const sound = new Sound(localStorage, byId("sound"), drawSound);
const pairing = new Pairing(localStorage, () => connect(), () => link.renew());
const link = new Link(window.io, data.station, () => pairing.token(), {
  hello(reply, fresh) {
    clearTimeout(refusal);
    board.takeSnapshot(reply.snapshot, fresh);
    pairing.hide();
    drawAll();
  },
  refused(error) {
    setLine("online");
    pairing.show(error);
    clearTimeout(refusal);
    refusal = setTimeout(() => link.renew(), RETRY_MS);
  },
  event(name, event) {
    if (name === "scan") scanned(event);
    if (name === "device") board.takeDevice(event);
    if (name === "notice") board.takeNotice(event);
    if (name === "device" || name === "notice") drawLamps(board, line);
  },
  state: setLine,
});

function scanned(scan) {
  const age = board.takeScan(scan);
  drawAnswer(board);
  drawRecent(board);
  drawClock(board);
  if (age < SOUND_AGE_MS) sound.play(outcomeWords(scan.outcome).sound);
}

function setLine(state) {
  line = state;
  byId("offline").hidden = state !== "offline";
  document.body.classList.toggle("is-offline", state === "offline");
  drawLamps(board, line);
}

function drawAll() {
  drawTexts(keepSeconds);
  drawSound(sound.state());
  drawLamps(board, line);
  drawClock(board);
  drawRecent(board);
  if (byId("pair").hidden) drawAnswer(board);
}

function connect() {
  clearTimeout(refusal);
  pairing.hide();
  drawAnswer(board);
  if (link.socket.active) link.renew(); else link.open();
}

function tick() {
  if (board.forget()) { drawAnswer(board); drawRecent(board); }
  drawClock(board);
}

byId("sound").addEventListener("click", () => sound.toggle());
byId("language").addEventListener("click", () => {
  setLanguage(otherLanguage());
  localStorage.setItem("screen-language", getLanguage());
  drawAll();
});

setLanguage(data.lang || localStorage.getItem("screen-language") || "zh-CN");
drawAll();
setInterval(tick, 1000);
keepIcons().catch(() => {}); // not reachable just now: icons are then fetched one by one, as before

/** Pair by the code in the address, if there is one. */
function pairByAddress() {
  const code = pairing.codeFromAddress();
  if (!code) return false;
  pairing.show(null);
  pairing.submit(code);
  return true;
}

window.addEventListener("hashchange", pairByAddress);
if (!pairByAddress()) {
  if (pairing.token()) connect(); else pairing.show(null);
}
