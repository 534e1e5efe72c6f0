// @ts-check
/**
 * One question of a waiting node, with what it takes to answer it: a text, approve and reject, or pictures to choose of.
 * Owns its elements and what was typed or chosen so far; does not know where it is shown, the socket, the graph or the server.
 */

import { approvalMessage, chosenText, isEnough, picksMessage, timeLeft } from "./answers.js";
import { element } from "./dom.js";
import { PicturesView } from "./pictures_view.js";
import { Refusal } from "./refusal.js";

/** @typedef {import("./state.js").OpenWait} OpenWait */
/** @typedef {(wait: OpenWait, message: string) => Promise<void>} Send rejects with the reason when it could not be delivered */

let made = 0;

export class QuestionView {
  /**
   * @param {OpenWait} wait
   * @param {Send} send
   * @param {(route: string) => string} pictureUrl
   * @param {(text: string) => void} say tells the person how the sending went
   */
  constructor(wait, send, pictureUrl, say) {
    made += 1;
    this.wait = wait;
    this._send = send;
    this._say = say;
    this._field = `expeditor-message-${made}`;
    this._busy = false;
    this._left = element("span", { className: "expeditor-left" });
    this._chosen = element("span", { className: "expeditor-chosen", attributes: { role: "status" } });
    /** @type {HTMLButtonElement[]} */
    this._buttons = [];
    /** @type {HTMLInputElement | HTMLTextAreaElement | null} */
    this._text = null;
    this._pictures = wait.images.length > 0 ? new PicturesView(wait, pictureUrl, () => this._draw()) : null;
    this.element = element("form", { className: `expeditor-question expeditor-${wait.kind}` }, ...this._parts());
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      const button = /** @type {SubmitEvent} */ (event).submitter ?? this._buttons[0];
      void this._answer(button?.dataset.verdict ?? "");
    });
    this._draw();
  }

  /** @param {number} nowMs by the server's clock */
  tick(nowMs) {
    this._left.textContent = timeLeft(this.wait.deadline_at, nowMs);
  }

  _parts() {
    const { kind, label } = this.wait;
    const shown = this._pictures ? [this._pictures.element] : [];
    const end = element("div", { className: "expeditor-row expeditor-end" }, ...this._answers(), this._left);
    if (kind === "pick") return [this._heading(label || "Pick"), ...shown, end];
    if (kind === "approve") return [this._heading(label || "Approve?"), ...shown, ...this._editing(), end];
    this._text = element("input", { attributes: { id: this._field, type: "text", autocomplete: "off" } });
    const row = element("div", { className: "expeditor-row" }, this._text, ...this._buttons);
    return [element("label", { className: "expeditor-label", text: label || "Message", attributes: { for: this._field } }), row, end];
  }

  /** @param {string} text */
  _heading(text) {
    return element("p", { className: "expeditor-label", text });
  }

  /** What goes into the last line; a text's button stands beside its field. */
  _answers() {
    const { kind } = this.wait;
    if (kind === "approve") {
      this._buttons = [this._button("Approve", "approve", true), this._button("Reject", "reject")];
      return this._buttons;
    }
    this._buttons = [this._button("Send", "send", true)];
    return kind === "pick" ? [...this._buttons, this._chosen] : [];
  }

  /** @returns {HTMLElement[]} */
  _editing() {
    if (!this.wait.text) return [];
    this._text = element("textarea", { attributes: { id: this._field, rows: "3", spellcheck: "true" } });
    this._text.value = this.wait.text;
    return [element("label", { className: "expeditor-hint", text: "Text", attributes: { for: this._field } }), this._text];
  }

  /** @param {string} text @param {string} verdict */
  _button(text, verdict, primary = false) {
    const button = element("button", { className: primary ? "expeditor-primary" : "", text, attributes: { type: "submit" } });
    button.dataset.verdict = verdict;
    return button;
  }

  _draw() {
    const picks = this._pictures?.picks ?? [];
    const choosing = this.wait.kind === "pick";
    for (const button of this._buttons) button.disabled = this._busy || (choosing && !isEnough(this.wait, picks));
    if (choosing) this._chosen.textContent = chosenText(this.wait, picks);
  }

  /** @param {string} verdict */
  _message(verdict) {
    if (this.wait.kind === "pick") return picksMessage(this._pictures?.picks ?? []);
    const text = this._text?.value ?? this.wait.text;
    return this.wait.kind === "approve" ? approvalMessage(this.wait, verdict === "approve", text) : text;
  }

  /** @param {string} verdict */
  async _answer(verdict) {
    if (this._busy) return;
    this._busy = true;
    this._draw();
    this._say("Sending…");
    try {
      await this._send(this.wait, this._message(verdict));
      this._say("Sent");
    } catch (error) {
      this._busy = false;
      this._draw();
      this._say(reason(error));
    }
  }
}

/** @param {unknown} error */
function reason(error) {
  if (error instanceof Refusal && (error.status === 404 || error.status === 410)) return "Already answered, or over";
  return error instanceof Error ? error.message : String(error);
}
