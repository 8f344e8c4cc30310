/* One short sound per class of outcome, made by the browser itself; silent until somebody has touched the page once. */

/** [frequency Hz, start s, length s] of each note: told apart by rhythm and direction, not only by pitch. */
const TUNES = {
  accepted: [[880, 0, 0.09], [1320, 0.1, 0.16]],
  attention: [[740, 0, 0.12], [740, 0.2, 0.12]],
  refused: [[330, 0, 0.18], [220, 0.2, 0.4]],
  busy: [[520, 0, 0.07], [520, 0.12, 0.07], [520, 0.24, 0.07]],
};
const SHAPES = { refused: "square" };

export class Sound {
  /** storage: where the mute survives a reload; chip: the button with its own say; changed(state): "locked", "on", "off". */
  constructor(storage, chip, changed) {
    this.storage = storage;
    this.changed = changed;
    this.muted = storage.getItem("screen-muted") === "1";
    const Context = window.AudioContext || window.webkitAudioContext;
    this.context = Context ? new Context() : null;
    this.played = []; // names of the sounds played, newest last: what the self-test and the tests look at
    if (this.context) this.context.addEventListener("statechange", () => this.changed(this.state()));
    for (const gesture of ["pointerdown", "keydown"]) {
      document.addEventListener(gesture, (event) => { if (!chip.contains(event.target)) this._unlock(); }, { capture: true });
    }
  }

  state() {
    if (this.muted) return "off";
    return this.context && this.context.state === "running" ? "on" : "locked";
  }

  /** The chip was pressed: unlock if locked, else mute or unmute. */
  toggle() {
    if (this.state() === "locked") { this._unlock(); return; }
    this.muted = !this.muted;
    this.storage.setItem("screen-muted", this.muted ? "1" : "0");
    this.changed(this.state());
    if (!this.muted) { this._unlock(); this.play("accepted"); }
  }

  play(name) {
    if (this.state() !== "on" || !TUNES[name]) return;
    this.played = this.played.concat(name).slice(-10);
    const start = this.context.currentTime + 0.01;
    for (const [frequency, after, length] of TUNES[name]) this._note(SHAPES[name] || "sine", frequency, start + after, length);
  }

  _note(shape, frequency, at, length) {
    const tone = this.context.createOscillator();
    const gain = this.context.createGain();
    tone.type = shape;
    tone.frequency.value = frequency;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(shape === "square" ? 0.12 : 0.35, at + 0.01); // ramps: no clicks
    gain.gain.setValueAtTime(shape === "square" ? 0.12 : 0.35, at + length - 0.02);
    gain.gain.linearRampToValueAtTime(0, at + length);
    tone.connect(gain).connect(this.context.destination);
    tone.start(at);
    tone.stop(at + length);
  }

  _unlock() {
    if (this.context && this.context.state === "suspended") this.context.resume();
  }
}
