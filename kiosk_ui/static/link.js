/* The line to the server: hello, numbered events with none lost or doubled, and saying at once when it is cut. No DOM here. */

const HELLO_WAIT_MS = 4000;

export class Link {
  /**
   * io: socket.io-client; station: code; token: () => string; on: {
   *   hello(reply, fresh), refused(error), event(name, data), state("online"|"offline") }.
   */
  constructor(io, station, token, on) {
    this.station = station;
    this.token = token;
    this.on = on;
    this.lastSeq = null;
    this.waiting = null; // events that arrive before the hello's reply
    this.socket = io("/screens", {
      path: "/socket.io", transports: ["websocket"], autoConnect: false,
      reconnectionDelay: 250, reconnectionDelayMax: 2000, timeout: 4000,
    });
    this.socket.on("connect", () => this._hello());
    this.socket.on("disconnect", (reason) => this._cut(reason));
    this.socket.on("connect_error", () => this.on.state("offline"));
    for (const name of ["scan", "queue", "device", "notice"]) {
      this.socket.on(name, (data) => this._arrived(name, data));
    }
    // A pulled cable is noticed by the PC long before the next ping fails.
    window.addEventListener("offline", () => { if (this.socket.io.engine) this.socket.io.engine.close(); });
  }

  open() { this.socket.connect(); }

  /** Say hello again on a new connection: after pairing, or when a refusal may have been lifted. */
  renew() { this.socket.disconnect().connect(); }

  _hello() {
    const fresh = this.lastSeq === null;
    this.waiting = [];
    const hello = { station: this.station, token: this.token(), last_seq: this.lastSeq };
    this.socket.timeout(HELLO_WAIT_MS).emit("hello", hello, (late, reply) => {
      if (late && !this.socket.connected) return; // cut meanwhile: the reconnection says hello again
      if (late || !reply) { this.on.state("offline"); this.renew(); return; }
      if (!reply.ok) { this.waiting = null; this.on.refused(reply.error || {}); return; }
      // A server whose numbering began anew (its database was replaced) would otherwise be ignored for ever.
      const restarted = !fresh && reply.seq < this.lastSeq;
      if (fresh || restarted) this.lastSeq = reply.seq;
      this.on.hello(reply, fresh || restarted);
      this.on.state("online");
      const held = this.waiting;
      this.waiting = null;
      for (const [name, data] of held) this._arrived(name, data);
    });
  }

  _arrived(name, data) {
    if (this.waiting) { this.waiting.push([name, data]); return; }
    if (this.lastSeq === null) return; // not greeted: not ours to show
    if (typeof data.seq === "number") {
      if (data.seq <= this.lastSeq) return;
      this.lastSeq = data.seq;
    }
    this.on.event(name, data);
    if (typeof data.seq === "number") this.socket.emit("ack", { seq: data.seq });
  }

  _cut(reason) {
    this.waiting = null;
    if (reason === "io client disconnect") return; // our own renew()
    this.on.state("offline");
    // socket.io does not come back by itself when the server closed the door on purpose.
    if (reason === "io server disconnect") setTimeout(() => this.socket.connect(), 1000);
  }
}
