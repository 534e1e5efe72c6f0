// @ts-check
/**
 * The dialog that asks for a priority. Owns its elements and its closing; does not submit anything.
 */

import { element, keepPlainKeys } from "./dom.js";

export const PRIORITY_MIN = 1;
export const PRIORITY_MAX = 10;
export const PRIORITY_DEFAULT = 3;

/**
 * A whole number from 1 to 10, whatever the setting holds.
 * @param {unknown} value
 * @returns {number}
 */
export function asPriority(value) {
  const number = Math.round(Number(value));
  if (!Number.isFinite(number) || value === null || value === "") return PRIORITY_DEFAULT;
  return Math.min(PRIORITY_MAX, Math.max(PRIORITY_MIN, number));
}

/**
 * Asks, and gives the chosen priority, or null when the person cancelled (also by Escape).
 * @param {number} initial
 * @returns {Promise<number | null>}
 */
export function askPriority(initial) {
  const chosen = asPriority(initial);
  const { dialog, form } = build(chosen);
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const value = new FormData(form).get("priority");
      dialog.remove();
      resolve(dialog.returnValue === "run" ? Number(value) : null);
    });
    dialog.showModal();
    /** @type {HTMLInputElement | null} */ (form.querySelector("input:checked"))?.focus();
  });
}

/** @param {number} chosen */
function build(chosen) {
  const levels = element("div", { className: "expeditor-levels" });
  for (let level = PRIORITY_MIN; level <= PRIORITY_MAX; level += 1) levels.append(option(level, level === chosen));
  const scale = element(
    "p",
    { className: "expeditor-scale", attributes: { id: "expeditor-scale" } },
    element("span", { text: "1: can wait" }),
    element("span", { text: "10: most urgent" }),
  );
  const group = element(
    "fieldset",
    { className: "expeditor-group", attributes: { "aria-describedby": "expeditor-scale" } },
    element("legend", { text: "Priority" }),
    levels,
    scale,
  );
  const actions = element("div", { className: "expeditor-actions" }, cancelButton(), runButton());
  const title = element("h2", { text: "Run with priority", attributes: { id: "expeditor-run-title" } });
  const form = element("form", { attributes: { method: "dialog" } }, title, group, actions);
  const attributes = { "aria-labelledby": "expeditor-run-title" };
  const dialog = element("dialog", { className: "expeditor expeditor-run", attributes }, form);
  keepPlainKeys(dialog);
  return { dialog, form };
}

/** @param {number} level @param {boolean} checked */
function option(level, checked) {
  const input = element("input", { attributes: { type: "radio", name: "priority", value: String(level) } });
  input.checked = checked;
  return element("label", { className: "expeditor-level" }, input, element("span", { text: String(level) }));
}

function runButton() {
  return element("button", {
    className: "expeditor-primary",
    text: "Run",
    attributes: { type: "submit", value: "run" },
  });
}

function cancelButton() {
  const button = element("button", { text: "Cancel", attributes: { type: "button" } });
  button.addEventListener("click", () => button.closest("dialog")?.close());
  return button;
}
