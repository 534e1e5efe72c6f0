// @ts-check
/**
 * Joins open waits with our waiting nodes on the canvas. Owns the nodes' views and finding a wait's node.
 */

import { KINDS } from "./answers.js";
import { executionIds, nodeAt } from "./graph.js";
import { waitsOf } from "./state.js";
import { WaitView } from "./wait_view.js";

const WIDGET = "expeditor_message";

/** How high a node was before its question made it grow, and how high that made it. @type {WeakMap<object, {from: number, to: number}>} */
const grown = new WeakMap();

/** @typedef {import("./state.js").OpenWait} OpenWait */

export class WaitingNodes {
  /**
   * @param {import("./waits.js").Waits} waits
   * @param {import("./api.js").ExpeditorClient} client
   * @param {() => any} rootGraph
   */
  constructor(waits, client, rootGraph) {
    this._waits = waits;
    this._client = client;
    this._rootGraph = rootGraph;
    /** @type {WeakMap<object, WaitView>} */
    this._views = new WeakMap();
  }

  /** Puts the question's view into a new node, if it is one that asks. @param {any} node */
  adopt(node) {
    if (!(node.comfyClass in KINDS)) return;
    const send = (/** @type {OpenWait} */ wait, /** @type {string} */ message) => this._waits.answer(wait, message);
    const view = new WaitView(send, (route) => this._client.pictureUrl(route));
    this._views.set(node, view);
    const widget = node.addDOMWidget(WIDGET, WIDGET, view.element, {
      serialize: false,
      hideOnZoom: false,
      getMinHeight: () => view.minHeight(),
    });
    widget.serialize = false;
    // The node gets its id, and its place in the graph, only after this hook.
    requestAnimationFrame(() => this._waits.redraw());
  }

  /** The node of the open workflow that asks this, or null. @param {OpenWait} wait */
  nodeOf(wait) {
    const node = nodeAt(this._rootGraph(), wait.node_id);
    return node && KINDS[node.comfyClass] === wait.kind ? node : null;
  }

  /** @param {import("./state.js").WaitState} state */
  draw(state) {
    for (const [node, ids] of executionIds(this._rootGraph())) {
      const view = this._views.get(node);
      if (!view) continue;
      view.render(waitsOf(state, ids, KINDS[node.comfyClass]));
      fit(node, view);
    }
  }

  /** @param {number} nowMs */
  tick(nowMs) {
    for (const [node] of executionIds(this._rootGraph())) this._views.get(node)?.tick(nowMs);
  }
}

/**
 * Makes room for a question, and gives it back when it is over unless the person has set another height meanwhile. The page asks for a
 * widget's height only when the node's size is set.
 * @param {any} node
 * @param {WaitView} view
 */
function fit(node, view) {
  const before = grown.get(node);
  if (!view.asks) {
    if (before && node.size[1] === before.to) resize(node, before.from);
    grown.delete(node);
    return;
  }
  const needed = node.computeSize()[1];
  if (node.size[1] >= needed) return;
  grown.set(node, { from: before?.from ?? node.size[1], to: needed });
  resize(node, needed);
}

/** @param {any} node @param {number} height */
function resize(node, height) {
  node.setSize([node.size[0], height]);
  node.setDirtyCanvas(true, true);
}
