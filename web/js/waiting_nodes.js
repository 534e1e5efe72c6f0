// @ts-check
/**
 * Joins open waits with the WaitForMessage nodes on the canvas. Owns the page's wait state and the nodes' views.
 */

import { executionIds } from "./graph.js";
import { NO_WAITS, reduce, waitsOf } from "./state.js";
import { WaitView } from "./wait_view.js";

const WIDGET = "expeditor_message";
const MIN_HEIGHT_PX = 96;
const HEIGHT_WITH_CHOICE_PX = 128;

/** @typedef {import("./state.js").OpenWait} OpenWait */

export class WaitingNodes {
  /**
   * @param {import("./api.js").ExpeditorClient} client
   * @param {() => any} rootGraph
   */
  constructor(client, rootGraph) {
    this._client = client;
    this._rootGraph = rootGraph;
    this._state = NO_WAITS;
    /** @type {WeakMap<object, WaitView>} */
    this._views = new WeakMap();
  }

  /** Puts the question's view into a new node. @param {any} node */
  adopt(node) {
    const view = new WaitView((wait, text) => this._answer(wait, text));
    this._views.set(node, view);
    const widget = node.addDOMWidget(WIDGET, WIDGET, view.element, {
      serialize: false,
      hideOnZoom: false,
      getMinHeight: () => (view.element.querySelector("select:not([hidden])") ? HEIGHT_WITH_CHOICE_PX : MIN_HEIGHT_PX),
    });
    widget.serialize = false;
    // The node gets its id, and its place in the graph, only after this hook.
    requestAnimationFrame(() => this._draw());
  }

  /** @param {{type: string}} event one of ours from the socket */
  hear(event) {
    const before = this._state;
    this._state = reduce(before, event);
    if (this._state !== before) this._draw();
  }

  /** Asks the server for all open waits: after a reload, another workflow, or a lost socket. */
  async resync() {
    this.hear({ type: "list.asked" });
    try {
      const waits = await this._client.pendingWaits();
      this.hear(/** @type {any} */ ({ type: "list.came", waits }));
    } catch {
      // Offline, or a server that is just starting: `reconnected` asks again.
    }
  }

  /** @param {OpenWait} wait @param {string} text */
  async _answer(wait, text) {
    const { token, node_id, prompt_id } = wait;
    try {
      await this._client.send({ message: text, node_id, token, prompt_id });
    } catch (error) {
      void this.resync();
      throw error;
    }
  }

  _draw() {
    for (const [node, ids] of executionIds(this._rootGraph())) {
      this._views.get(node)?.render(waitsOf(this._state, ids));
    }
  }
}
