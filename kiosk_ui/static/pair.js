/* The pairing form: exchange a printed code for this screen's token, kept in this browser for this station only. */

import { byId } from "./dom.js";
import { pick, t } from "./words.js";

const LENGTH = 8;

export class Pairing {
  /** storage: localStorage; done(): a token is there now; retry(): try the old token once more. */
  constructor(storage, done, retry) {
    const data = document.body.dataset;
    this.storage = storage;
    this.key = "screen-token:" + data.station;
    this.url = data.pairUrl;
    this.done = done;
    byId("pair-form").addEventListener("submit", (event) => { event.preventDefault(); this._send(byId("pair-code").value); });
    byId("pair-code").addEventListener("input", () => this._tidy());
    byId("pair-retry").addEventListener("click", retry);
  }

  token() { return this.storage.getItem(this.key); }

  /** A code handed over in the address' fragment, which no server log ever sees; it is taken out of the address at once. */
  codeFromAddress() {
    const code = new URLSearchParams(location.hash.slice(1)).get("pair");
    if (code) history.replaceState(null, "", location.pathname + location.search);
    return code;
  }

  show(error) {
    byId("stage").hidden = true;
    byId("pair").hidden = false;
    document.body.dataset.state = "pairing";
    byId("pair-retry").hidden = !this.token();
    this._say(error ? pick({ "zh-CN": error.zh, en: error.en }) : "");
    if (document.activeElement === document.body) byId("pair-code").focus();
  }

  hide() {
    byId("pair").hidden = true;
    byId("stage").hidden = false;
    byId("pair-code").value = "";
    this._say("");
  }

  async submit(code) {
    byId("pair-code").value = code;
    this._tidy();
    await this._send(code);
  }

  async _send(raw) {
    const code = raw.toUpperCase().replace(/[^0-9A-Z]/g, "");
    if (code.length !== LENGTH) { this._say(t("pair.short")); byId("pair-code").focus(); return; }
    this._busy(true);
    let reply = null;
    try {
      const response = await fetch(this.url, {
        method: "POST", credentials: "omit", headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ code: code.slice(0, 4) + "-" + code.slice(4) }),
      });
      reply = await response.json();
    } catch (unreachable) {
      reply = null; // no network, or a page that is not ours: both mean the same to whoever stands here
    }
    this._busy(false);
    if (reply && reply.token) { this.storage.setItem(this.key, reply.token); this.done(); return; }
    const error = reply && reply.error;
    this._say(error ? pick({ "zh-CN": error.zh, en: error.en }) || t("pair.unreachable") : t("pair.unreachable"));
    byId("pair-code").focus();
  }

  _tidy() {
    const input = byId("pair-code");
    const code = input.value.toUpperCase().replace(/[^0-9A-Z]/g, "").slice(0, LENGTH);
    input.value = code.length > 4 ? code.slice(0, 4) + "-" + code.slice(4) : code;
  }

  _say(text) {
    const box = byId("pair-error");
    box.hidden = !text;
    box.textContent = text;
    if (text) byId("pair-code").setAttribute("aria-invalid", "true");
    else byId("pair-code").removeAttribute("aria-invalid");
    byId("pair-code").setAttribute("aria-describedby", text ? "pair-error pair-hint" : "pair-hint");
  }

  _busy(on) {
    const button = byId("pair-send");
    button.disabled = on;
    button.textContent = t(on ? "pair.sending" : "pair.send");
  }
}
