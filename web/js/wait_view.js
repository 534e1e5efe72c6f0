// @ts-check
/**
 * The question of a waiting node, drawn inside it: text field, Send, and which job asks when several do.
 * Owns its elements; does not know the socket, the graph or the server.
 */

import { element, keepPlainKeys } from "./dom.js";
import { Refusal } from "./refusal.js";

/** @typedef {import("./state.js").OpenWait} OpenWait */

const IDLE = "Asks here when the workflow reaches this node";
let made = 0;

export class WaitView {
  /** @param {(wait: OpenWait, text: string) => Promise<void>} send rejects with the reason when it could not be delivered */
  constructor(send) {
    this._send = send;
    /** @type {readonly OpenWait[]} */
    this._waits = [];
    /** Token of the wait that this view has answered: its end is told a moment later. */
    this._answered = "";
    made += 1;
    const field = `expeditor-message-${made}`;
    this._label = element("label", { className: "expeditor-label", text: IDLE, attributes: { for: field } });
    this._text = element("input", { attributes: { id: field, type: "text", autocomplete: "off" } });
    this._button = element("button", { className: "expeditor-primary", text: "Send", attributes: { type: "submit" } });
    this._choice = element("select", { attributes: { "aria-label": "Job that asks" } });
    this._status = element("p", { className: "expeditor-status", attributes: { role: "status" } });
    const row = element("div", { className: "expeditor-row" }, this._text, this._button);
    const form = element("form", {}, this._choice, this._label, row, this._status);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this._submit();
    });
    this._choice.addEventListener("change", () => this._draw());
    this.element = element("div", { className: "expeditor expeditor-wait" }, form);
    keepPlainKeys(this.element);
    this._draw();
  }

  /** @param {readonly OpenWait[]} waits of this node, oldest first */
  render(waits) {
    const tokens = waits.map((wait) => wait.token);
    const known = this._waits.map((wait) => wait.token);
    if (tokens.length === known.length && tokens.every((token, index) => token === known[index])) return;
    const picked = this._choice.value;
    this._waits = waits;
    this._choice.replaceChildren(...waits.map((wait) => new Option(`Job ${wait.prompt_id.slice(0, 8)}: ${wait.label}`, wait.token)));
    if (tokens.includes(picked)) this._choice.value = picked;
    const answeredHere = known.includes(this._answered) && !tokens.includes(this._answered);
    if (waits.length === 0 && !answeredHere && known.length > 0) this._status.textContent = "No longer waits";
    this._draw();
  }

  /** @returns {OpenWait | undefined} */
  _current() {
    return this._waits.find((wait) => wait.token === this._choice.value) ?? this._waits[0];
  }

  _draw() {
    const wait = this._current();
    this.element.classList.toggle("expeditor-asks", wait !== undefined);
    this._choice.hidden = this._waits.length < 2;
    this._label.textContent = wait ? wait.label || "Message" : IDLE;
    this._button.disabled = wait === undefined || wait.token === this._answered;
    if (wait && wait.token !== this._answered) this._status.textContent = `Waits until ${clockTime(wait.deadline_at)}`;
  }

  async _submit() {
    const wait = this._current();
    if (!wait) return;
    this._answered = wait.token;
    this._button.disabled = true;
    this._status.textContent = "Sending…";
    try {
      await this._send(wait, this._text.value);
      this._text.value = "";
      this._status.textContent = "Sent";
    } catch (error) {
      this._answered = "";
      this._draw();
      this._status.textContent = reason(error);
    }
  }
}

/** @param {unknown} error */
function reason(error) {
  if (error instanceof Refusal && (error.status === 404 || error.status === 410)) return "Already answered, or over";
  return error instanceof Error ? error.message : String(error);
}

/** @param {string} at RFC 3339 */
function clockTime(at) {
  return new Date(at).toLocaleTimeString();
}
