/* What a screen knows: the answer, the last ten scans, the lamps, the server's clock. No DOM and no socket here. */

export const KEPT = 10;

export class Board {
  /** keepMs: how long anything about a patient may stay; monotonic: a clock that never jumps, in ms. */
  constructor(keepMs, monotonic) {
    this.keepMs = keepMs;
    this.monotonic = monotonic || (() => performance.now());
    this.recent = [];   // newest first: {scan, since (monotonic ms of the scan)}
    this.answer = null; // one of recent, or null when idle
    this.devices = [];
    this.his = "unknown";
    this.serverAt = null;
    this.helloAt = 0;
  }

  /** The server's time in ms, carried on by the monotonic clock; the PC's own until the first hello. */
  now() {
    return this.serverAt === null ? Date.now() : this.serverAt + (this.monotonic() - this.helloAt);
  }

  /** Take a hello's snapshot. `fresh`: this page has seen no event yet, so the list comes from here too. */
  takeSnapshot(snapshot, fresh) {
    const now = Date.parse(snapshot.now);
    if (!Number.isNaN(now)) { this.serverAt = now; this.helloAt = this.monotonic(); }
    this.devices = (snapshot.devices || []).map((device) => Object.assign({}, device));
    this.his = (snapshot.his && snapshot.his.state) || "unknown";
    if (!fresh) return;
    this.recent = (snapshot.recent || []).slice(0, KEPT).map((scan) => this._entry(scan));
    this.answer = this.recent[0] || null;
    this.forget();
  }

  /** A scan came in: it is the answer if it is young enough. Returns its age in ms. */
  takeScan(scan) {
    const entry = this._entry(scan);
    this.recent = [entry].concat(this.recent).slice(0, KEPT);
    this.answer = entry;
    this.forget();
    return this.monotonic() - entry.since;
  }

  takeDevice(event) {
    const known = this.devices.find((device) => device.code === event.device);
    if (known) { known.state = event.state; known.reason = event.reason; }
    else this.devices.push({ code: event.device, name: event.device, state: event.state, reason: event.reason });
  }

  takeNotice(event) {
    if (event.kind === "his") this.his = event.state;
  }

  /** Drop what has been shown long enough. Returns true when something went. */
  forget() {
    let gone = false;
    for (const entry of this.recent) {
      if (entry.stale || this.monotonic() - entry.since < this.keepMs) continue;
      const { seq, at, outcome } = entry.scan;
      entry.scan = { seq, at, outcome };
      entry.stale = gone = true;
      if (this.answer === entry) this.answer = null;
    }
    return gone;
  }

  /** true when no scanner of this station can read just now. */
  deafness() {
    if (!this.devices.length) return "none";
    return this.devices.some((device) => ["online", "degraded"].includes(device.state)) ? "" : "device";
  }

  _entry(scan) {
    const age = this.now() - Date.parse(scan.at);
    return { scan, since: this.monotonic() - (age > 0 ? age : 0), stale: false };
  }
}
