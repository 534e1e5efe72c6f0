// @ts-check
/**
 * The page's client of our routes. Owns requests and the reading of answers; a refusal is thrown as `Refusal`.
 */

import { refusalOf } from "./refusal.js";

/** @typedef {import("./state.js").OpenWait} OpenWait */
/** @typedef {{id: string, status: string, priority: number, position?: number | null, eta_s?: number | null}} Job */
/** @typedef {{message: string, node_id: string, token?: string, prompt_id?: string}} Message */

export class ExpeditorClient {
  /** @param {Pick<ComfyApi, "fetchApi" | "apiURL" | "clientId">} api ComfyUI's `api` object */
  constructor(api) {
    this._api = api;
  }

  /**
   * Answers a waiting node, as FormData.
   * @param {Message} message
   * @returns {Promise<{delivered: boolean, token: string, node_id: string, prompt_id: string}>}
   */
  async send(message) {
    const form = new FormData();
    for (const [name, value] of Object.entries(message)) {
      if (value !== undefined) form.append(name, value);
    }
    return this._ask("/expeditor/messages", { method: "POST", body: form });
  }

  /**
   * What our nodes are called in a language, by class: empty where there are no texts or they cannot be had.
   * @param {string} language
   * @returns {Promise<Record<string, import("./translation.js").NodeTexts>>}
   */
  async nodeTexts(language) {
    const response = await this._api.fetchApi("/i18n");
    return response.ok ? ((await response.json())[language]?.nodeDefs ?? {}) : {};
  }

  /**
   * Every wait that can be answered now, oldest first, and how far the server's clock is ahead of the page's.
   * @returns {Promise<{waits: OpenWait[], skewMs: number}>}
   */
  async pendingWaits() {
    const response = await this._fetch("/expeditor/messages/pending", {});
    const serverMs = Date.parse(response.headers.get("Date") ?? "");
    return { waits: (await response.json()).pending, skewMs: Number.isNaN(serverMs) ? 0 : serverMs - Date.now() };
  }

  /** Where the page finds a picture of a wait. @param {string} route */
  pictureUrl(route) {
    return this._api.apiURL(route);
  }

  /**
   * Submits a workflow; the answer comes after the job is stored.
   * @param {{output: object, workflow: object}} graph what `app.graphToPrompt()` gave
   * @param {number} priority 1 to 10, 10 is most urgent
   * @returns {Promise<Job>}
   */
  async submit(graph, priority) {
    const body = {
      prompt: graph.output,
      priority,
      client_id: this._api.clientId,
      extra_data: { extra_pnginfo: { workflow: graph.workflow } },
    };
    return this._ask("/expeditor/submit", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  }

  /**
   * @param {string} route
   * @param {RequestInit} options
   * @returns {Promise<any>}
   */
  async _ask(route, options) {
    return (await this._fetch(route, options)).json().catch(() => null);
  }

  /**
   * @param {string} route
   * @param {RequestInit} options
   */
  async _fetch(route, options) {
    const response = await this._api.fetchApi(route, options);
    if (!response.ok) throw refusalOf(response.status, await response.json().catch(() => null));
    return response;
  }
}
