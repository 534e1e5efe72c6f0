// @ts-check
/**
 * Two small things every view of ours needs: making elements, and keeping the canvas's keys out of them.
 */

/**
 * An element with a class, text and attributes. Text is set as text, never as markup.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {{className?: string, text?: string, attributes?: Record<string, string>}} [facts]
 * @param {...Node} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, { className = "", text = "", attributes = {} } = {}, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * ComfyUI listens for bare letters on the window and spares only text fields: a key pressed on a button of ours would
 * act on the canvas. Shortcuts with Ctrl, Alt or Meta still pass.
 * @param {HTMLElement} root
 */
export function keepPlainKeys(root) {
  root.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.altKey && !event.metaKey) event.stopPropagation();
  });
}
