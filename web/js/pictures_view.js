// @ts-check
/**
 * The pictures of a question: shown one beside the other, or as buttons to choose with. Owns its elements and which are chosen.
 */

import { toggled } from "./answers.js";
import { element } from "./dom.js";

/** @typedef {import("./state.js").OpenWait} OpenWait */

export class PicturesView {
  /**
   * @param {OpenWait} wait
   * @param {(route: string) => string} pictureUrl
   * @param {() => void} changed another choice was made
   */
  constructor(wait, pictureUrl, changed) {
    this._wait = wait;
    this._changed = changed;
    /** @type {readonly number[]} in the order in which they were chosen */
    this.picks = [];
    /** @type {HTMLButtonElement[]} */
    this._buttons = [];
    const urls = wait.images.map((image) => pictureUrl(image.url));
    const cells = urls.map((url, number) => (wait.kind === "pick" ? this._choice(url, number) : this._shown(url, number)));
    this.element = element("ul", { className: "expeditor-pictures", attributes: { "aria-label": "Pictures" } }, ...cells);
    this.element.classList.toggle("expeditor-one", urls.length === 1);
    this._draw();
  }

  /** @param {string} url @param {number} number */
  _shown(url, number) {
    return element("li", {}, element("a", { attributes: opened(url, this._name(number)) }, this._picture(url, number)));
  }

  /** @param {string} url @param {number} number */
  _choice(url, number) {
    const badge = element("span", { className: "expeditor-badge", attributes: { "aria-hidden": "true" } });
    const button = element("button", { attributes: { type: "button" } }, this._picture(url, number), badge);
    button.addEventListener("click", () => {
      this.picks = toggled(this.picks, number, this._wait.most ?? 1);
      this._draw();
      this._changed();
    });
    this._buttons.push(button);
    const link = element("a", { className: "expeditor-open", text: "⤢", attributes: opened(url, this._name(number)) });
    return element("li", {}, button, link);
  }

  /** @param {string} url @param {number} number */
  _picture(url, number) {
    return element("img", { attributes: { src: url, alt: this._name(number), decoding: "async", draggable: "false" } });
  }

  /** @param {number} number */
  _name(number) {
    return this._wait.images.length === 1 ? "Picture" : `Picture ${number + 1} of ${this._wait.images.length}`;
  }

  _draw() {
    this._buttons.forEach((button, number) => {
      const place = this.picks.indexOf(number);
      button.setAttribute("aria-pressed", String(place >= 0));
      const badge = /** @type {HTMLElement} */ (button.querySelector(".expeditor-badge"));
      badge.textContent = place < 0 ? "" : this._wait.most === 1 ? "✓" : String(place + 1);
    });
  }
}

/** A picture in a tab of its own. @param {string} url @param {string} name */
function opened(url, name) {
  return { href: url, target: "_blank", rel: "noopener", "aria-label": `Open ${name}`, title: "Open in a tab" };
}
