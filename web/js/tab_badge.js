// @ts-check
/**
 * The number on our sidebar tab's icon: how many questions wait.
 */

export class TabBadge {
  /** @param {() => any} tab the registered tab, as the page's store has it; undefined on a page that keeps none */
  constructor(tab) {
    this._tab = tab;
    this._shown = "";
  }

  /** @param {import("./state.js").WaitState} state */
  draw({ waits }) {
    const text = waits.length > 0 ? String(waits.length) : "";
    const tab = this._tab();
    if (!tab || text === this._shown) return;
    this._shown = text;
    // The page looks at a badge's function once; another function makes it look again.
    tab.iconBadge = () => text || null;
  }

  tick() {}
}
