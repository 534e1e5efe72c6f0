// @ts-check
/**
 * The red outline of nodes that the server found at fault. Owns only the marks it set itself: core's stay core's.
 */

import { nodeAt } from "./graph.js";

/** @typedef {import("./refusal.js").Fault} Fault */

export class NodeMarks {
  /** @param {() => void} redraw draws the canvas anew */
  constructor(redraw) {
    this._redraw = redraw;
    /** @type {Array<() => void>} */
    this._undo = [];
  }

  /**
   * Marks the nodes and inputs that the faults name; earlier marks go.
   * @param {any} graph the root graph
   * @param {readonly Fault[]} faults
   */
  show(graph, faults) {
    this._takeBack();
    for (const fault of faults) {
      const node = fault.nodeId === null ? null : nodeAt(graph, fault.nodeId);
      if (!node) continue;
      this._set(node, "has_errors");
      const slot = node.inputs?.find((/** @type {any} */ input) => input.name === fault.inputName);
      if (slot) this._set(slot, "hasErrors");
    }
    this._redraw();
  }

  clear() {
    if (this._undo.length === 0) return;
    this._takeBack();
    this._redraw();
  }

  _takeBack() {
    for (const undo of this._undo) undo();
    this._undo = [];
  }

  /** @param {any} target @param {string} flag */
  _set(target, flag) {
    if (target[flag]) return;
    target[flag] = true;
    this._undo.push(() => {
      target[flag] = false;
    });
  }
}
