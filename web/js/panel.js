// @ts-check
/**
 * The panel in ComfyUI's sidebar: what needs the person, wherever it was asked, answered in place.
 * Owns its elements, kept by token so that what is typed and where the focus is survive a redraw.
 */

import { element, keepPlainKeys } from "./dom.js";
import { QuestionView } from "./question_view.js";

/** @typedef {import("./state.js").OpenWait} OpenWait */
/** @typedef {{card: HTMLElement, question: QuestionView, show: HTMLButtonElement}} Card */

const NOTHING = "Nothing waits for you. Nodes that ask (Wait for message, Approve image, Pick images) can be answered here.";

export class Panel {
  /**
   * @param {import("./question_view.js").Send} send
   * @param {(route: string) => string} pictureUrl
   * @param {{has(wait: OpenWait): boolean, show(wait: OpenWait): void}} canvas the open workflow
   */
  constructor(send, pictureUrl, canvas) {
    this._send = send;
    this._pictureUrl = pictureUrl;
    this._canvas = canvas;
    /** @type {Map<string, Card>} */
    this._cards = new Map();
    this._title = element("h2", { text: "Needs you" });
    this._nothing = element("p", { className: "expeditor-muted", text: NOTHING });
    this._list = element("ul", { className: "expeditor-cards", attributes: { "aria-label": "Needs you" } });
    this._status = element("p", { className: "expeditor-status", attributes: { role: "status" } });
    this.element = element("section", { className: "expeditor expeditor-panel", attributes: { tabindex: "0", "aria-label": "Expeditor" } });
    this.element.append(this._title, this._status, this._nothing, this._list);
    keepPlainKeys(this.element);
  }

  /** @param {import("./state.js").WaitState} state */
  draw({ waits }) {
    this._title.textContent = waits.length > 0 ? `Needs you (${waits.length})` : "Needs you";
    this._nothing.hidden = waits.length > 0;
    const open = new Set(waits.map((wait) => wait.token));
    for (const [token, { card }] of this._cards) {
      if (open.has(token)) continue;
      this._keepFocus(card);
      card.remove();
      this._cards.delete(token);
    }
    for (const wait of waits) {
      const made = this._cards.get(wait.token) ?? this._make(wait);
      made.show.hidden = !this._canvas.has(wait);
    }
  }

  /** @param {number} nowMs by the server's clock */
  tick(nowMs) {
    for (const { question } of this._cards.values()) question.tick(nowMs);
  }

  /** @param {OpenWait} wait @returns {Card} */
  _make(wait) {
    const question = new QuestionView(wait, this._send, this._pictureUrl, (text) => this._say(text));
    const show = element("button", { text: "Show", attributes: { type: "button", title: "Go to the node" } });
    show.addEventListener("click", () => this._canvas.show(wait));
    const job = element("span", { className: "expeditor-muted", text: `Job ${wait.prompt_id.slice(0, 8)}, node ${wait.node_id}` });
    const head = element("div", { className: "expeditor-row expeditor-head" }, job, show);
    const card = element("li", { className: "expeditor-card" }, head, question.element);
    const made = { card, question, show };
    this._cards.set(wait.token, made);
    this._list.append(card);
    return made;
  }

  /** A card that goes takes the focus with it: the panel has it then, and not the page. @param {HTMLElement} card */
  _keepFocus(card) {
    if (card.contains(document.activeElement)) this.element.focus();
  }

  /** @param {string} text */
  _say(text) {
    this._status.textContent = text;
  }
}
