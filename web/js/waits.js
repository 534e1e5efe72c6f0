// @ts-check
/**
 * The page's open waits: kept in step with the server by events and lists, told to whoever draws them, and answered.
 * Owns the one state and the second hand of countdowns; does not draw.
 */

import { NO_WAITS, reduce } from "./state.js";

/** @typedef {import("./state.js").OpenWait} OpenWait */
/** @typedef {import("./state.js").WaitState} WaitState */
/** @typedef {{draw(state: WaitState): void, tick(nowMs: number): void}} Drawer */

const TICK_MS = 1000;

export class Waits {
  /** @param {import("./api.js").ExpeditorClient} client */
  constructor(client) {
    this._client = client;
    this.state = NO_WAITS;
    /** @type {Drawer[]} */
    this._drawers = [];
    this._clock = 0;
  }

  /** @param {Drawer} drawer is told of the state now and whenever it changes */
  show(drawer) {
    this._drawers.push(drawer);
    drawer.draw(this.state);
    this._tick();
  }

  /** @param {{type: string}} event one of ours from the socket */
  hear(event) {
    const before = this.state;
    this.state = reduce(before, event);
    if (this.state !== before) this.redraw();
  }

  redraw() {
    for (const drawer of this._drawers) drawer.draw(this.state);
    this._tick();
  }

  /** Asks the server for all open waits: after a reload, another workflow, or a lost socket. */
  async resync() {
    this.hear({ type: "list.asked" });
    try {
      const list = await this._client.pendingWaits();
      this.hear(/** @type {any} */ ({ type: "list.came", ...list }));
    } catch {
      // Offline, or a server that is just starting: `reconnected` asks again.
    }
  }

  /** Rejects with the reason when it could not be delivered. @param {OpenWait} wait @param {string} message */
  async answer({ token, node_id, prompt_id }, message) {
    try {
      await this._client.send({ message, node_id, token, prompt_id });
    } catch (error) {
      void this.resync();
      throw error;
    }
  }

  _tick() {
    const nowMs = Date.now() + this.state.skewMs;
    for (const drawer of this._drawers) drawer.tick(nowMs);
    clearTimeout(this._clock);
    if (this.state.waits.length > 0) this._clock = setTimeout(() => this._tick(), TICK_MS);
  }
}
