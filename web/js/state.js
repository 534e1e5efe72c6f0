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
 * @property {string} label
 * @property {string} deadline_at RFC 3339
 */

/**
 * @typedef {object} WaitState
 * @property {readonly OpenWait[]} waits oldest first
 * @property {readonly string[]} closed tokens of waits that are over, newest last
 * @property {readonly string[]} fresh tokens heard of since the last list was asked for
 */

/**
 * @typedef {({type: "message.waiting"} & OpenWait) | ({type: "message.closed"} & OpenWait)
 *   | {type: "list.asked"} | {type: "list.came", waits: OpenWait[]}} WaitEvent
 */

const REMEMBERED_CLOSED = 200;

/** @type {WaitState} */
export const NO_WAITS = Object.freeze({ waits: Object.freeze([]), closed: Object.freeze([]), fresh: Object.freeze([]) });

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
  if (event.type === "list.came") return listed(state, /** @type {any} */ (event).waits);
  return state;
}

/**
 * The open waits of one node on the canvas, which may run under several ids.
 * @param {WaitState} state
 * @param {readonly string[]} executionIds
 * @returns {readonly OpenWait[]}
 */
export function waitsOf(state, executionIds) {
  return state.waits.filter((wait) => executionIds.includes(wait.node_id));
}

/** @param {WaitState} state @param {OpenWait} wait */
function opened(state, wait) {
  if (state.closed.includes(wait.token) || state.waits.some((known) => known.token === wait.token)) return state;
  const { token, node_id, prompt_id, label, deadline_at } = wait;
  const waits = [...state.waits, { token, node_id, prompt_id, label, deadline_at }];
  return freeze({ ...state, waits, fresh: [...state.fresh, token] });
}

/** @param {WaitState} state @param {string} token */
function closed(state, token) {
  if (state.closed.includes(token)) return state;
  const waits = state.waits.filter((wait) => wait.token !== token);
  return freeze({ ...state, waits, closed: [...state.closed, token].slice(-REMEMBERED_CLOSED) });
}

/** @param {WaitState} state @param {OpenWait[]} list */
function listed(state, list) {
  const fromList = list.filter((wait) => !state.closed.includes(wait.token));
  const listedTokens = fromList.map((wait) => wait.token);
  const overtook = state.waits.filter((wait) => state.fresh.includes(wait.token) && !listedTokens.includes(wait.token));
  return freeze({ ...state, waits: [...fromList, ...overtook] });
}

/** @param {WaitState} state @returns {WaitState} */
function freeze(state) {
  return Object.freeze(state);
}
