// @ts-check
/**
 * What the page knows of waiting nodes. Pure: events in, a new frozen state out.
 * Owns the merge of socket events with the list asked for after a reload; does not own fetching or drawing.
 */

/**
 * @typedef {object} OpenWait
 * @property {string} token
 * @property {string} node_id execution id, such as "7" or "3:7" inside a subgraph
 * @property {string} prompt_id
 * @property {string} kind "text", "approve" or "pick"
 * @property {string} label
 * @property {string} text what can be edited before it is approved
 * @property {readonly {url: string}[]} images what is shown, or chosen of
 * @property {number | null} least how many must be chosen
 * @property {number | null} most how many may be chosen
 * @property {string} deadline_at RFC 3339
 */

/**
 * @typedef {object} WaitState
 * @property {readonly OpenWait[]} waits oldest first
 * @property {readonly string[]} closed tokens of waits that are over, newest last
 * @property {readonly string[]} fresh tokens heard of since the last list was asked for
 * @property {number} skewMs how far the server's clock is ahead of the page's, by the last list
 */

/**
 * @typedef {({type: "message.waiting"} & OpenWait) | ({type: "message.closed"} & OpenWait)
 *   | {type: "list.asked"} | {type: "list.came", waits: OpenWait[], skewMs?: number}} WaitEvent
 */

const REMEMBERED_CLOSED = 200;

/** @type {WaitState} */
export const NO_WAITS = Object.freeze({ waits: Object.freeze([]), closed: Object.freeze([]), fresh: Object.freeze([]), skewMs: 0 });

/**
 * The state after an event; the same object when nothing changed. A list may be older than events that overtook it:
 * waits heard of since it was asked for stay, and waits known to be over do not come back.
 * @param {WaitState} state
 * @param {WaitEvent | {type: string}} event unknown types change nothing
 * @returns {WaitState}
 */
export function reduce(state, event) {
  if (event.type === "message.waiting") return opened(state, /** @type {any} */ (event));
  if (event.type === "message.closed") return closed(state, /** @type {any} */ (event).token);
  if (event.type === "list.asked") return freeze({ ...state, fresh: [] });
  if (event.type === "list.came") return listed(state, /** @type {any} */ (event));
  return state;
}

/**
 * The open waits of one node on the canvas, which may run under several ids. A job of another workflow may use the same id for
 * another node: what that one asks is not shown in this one.
 * @param {WaitState} state
 * @param {readonly string[]} executionIds
 * @param {string} kind what the node asks
 * @returns {readonly OpenWait[]}
 */
export function waitsOf(state, executionIds, kind) {
  return state.waits.filter((wait) => executionIds.includes(wait.node_id) && wait.kind === kind);
}

/** @param {WaitState} state @param {OpenWait} wait */
function opened(state, wait) {
  if (state.closed.includes(wait.token) || state.waits.some((each) => each.token === wait.token)) return state;
  return freeze({ ...state, waits: [...state.waits, known(wait)], fresh: [...state.fresh, wait.token] });
}

/** @param {WaitState} state @param {string} token */
function closed(state, token) {
  if (state.closed.includes(token)) return state;
  const waits = state.waits.filter((wait) => wait.token !== token);
  return freeze({ ...state, waits, closed: [...state.closed, token].slice(-REMEMBERED_CLOSED) });
}

/** @param {WaitState} state @param {{waits: OpenWait[], skewMs?: number}} list */
function listed(state, { waits, skewMs = state.skewMs }) {
  const fromList = waits.filter((wait) => !state.closed.includes(wait.token)).map(known);
  const listedTokens = fromList.map((wait) => wait.token);
  const overtook = state.waits.filter((wait) => state.fresh.includes(wait.token) && !listedTokens.includes(wait.token));
  return freeze({ ...state, waits: [...fromList, ...overtook], skewMs });
}

/** What is kept of a wait; an instance of an earlier version tells less. @param {OpenWait} wait @returns {OpenWait} */
function known({ token, node_id, prompt_id, kind, label, text, images, least, most, deadline_at }) {
  const asked = { kind: kind ?? "text", label, text: text ?? "", images: images ?? [], least: least ?? null, most: most ?? null };
  return { token, node_id, prompt_id, ...asked, deadline_at };
}

/** @param {WaitState} state @returns {WaitState} */
function freeze(state) {
  return Object.freeze(state);
}
