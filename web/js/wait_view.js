// @ts-check
/**
 * What stands inside a waiting node: its question, which job asks when several do, and how the answer fared.
 * Owns its elements; does not know the socket, the graph or the server.
 */

import { element, keepPlainKeys } from "./dom.js";
import { QuestionView } from "./question_view.js";

/** @typedef {import("./state.js").OpenWait} OpenWait */

const IDLE = "Asks here when the workflow reaches this node";

export class WaitView {
  /**
   * @param {import("./question_view.js").Send} send
   * @param {(route: string) => string} pictureUrl
   */
  constructor(send, pictureUrl) {
    this._send = send;
    this._pictureUrl = pictureUrl;
    /** @type {readonly OpenWait[]} */
    this._waits = [];
    /** @type {QuestionView | null} */
    this._question = null;
    /** Token of the wait that this view has answered: its end is told a moment later. */
    this._answered = "";
    this._idle = element("p", { className: "expeditor-label", text: IDLE });
    this._choice = element("select", { attributes: { "aria-label": "Job that asks" } });
    this._place = element("div", { className: "expeditor-place" });
    this._status = element("p", { className: "expeditor-status", attributes: { role: "status", "aria-label": "Answer" } });
    this._choice.addEventListener("change", () => this._draw());
    this.element = element("div", { className: "expeditor expeditor-wait" }, this._choice, this._idle, this._place, this._status);
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
    if (!answeredHere) this._status.textContent = waits.length === 0 && known.length > 0 ? "No longer waits" : "";
    this._draw();
  }

  /** @param {number} nowMs by the server's clock */
  tick(nowMs) {
    this._question?.tick(nowMs);
  }

  /** Whether a question stands in it. */
  get asks() {
    return this._question !== null;
  }

  /** How much room it wants inside the node, in pixels. */
  minHeight() {
    const wait = this._question?.wait;
    const choice = this._waits.length > 1 ? 32 : 0;
    if (!wait) return 64;
    if (wait.kind === "text") return 108 + choice;
    return (wait.kind === "approve" && wait.text ? 400 : 300) + choice;
  }

  /** @returns {OpenWait | undefined} */
  _current() {
    return this._waits.find((wait) => wait.token === this._choice.value) ?? this._waits[0];
  }

  _draw() {
    const wait = this._current();
    this.element.classList.toggle("expeditor-asks", wait !== undefined);
    this._choice.hidden = this._waits.length < 2;
    this._idle.hidden = wait !== undefined;
    if (wait?.token === this._question?.wait.token) return;
    this._question = wait ? new QuestionView(wait, (...said) => this._sent(...said), this._pictureUrl, (text) => this._say(text)) : null;
    this._place.replaceChildren(...(this._question ? [this._question.element] : []));
  }

  /** @param {OpenWait} wait @param {string} message */
  async _sent(wait, message) {
    this._answered = wait.token;
    try {
      await this._send(wait, message);
    } catch (error) {
      this._answered = "";
      throw error;
    }
  }

  /** @param {string} text */
  _say(text) {
    this._status.textContent = text;
  }
}
