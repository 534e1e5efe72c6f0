// @ts-check
/**
 * What the server refused and why, read from its answer. Pure.
 */

/**
 * @typedef {object} Fault
 * @property {string} message
 * @property {string} hint empty when there is none
 * @property {string | null} nodeId execution id of the node at fault
 * @property {string | null} inputName
 */

/** A request that the server refused; `faults` is empty when it named none. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   * @param {Fault[]} faults
   */
  constructor(status, code, message, faults) {
    super(message);
    this.name = "Refusal";
    this.status = status;
    this.code = code;
    this.faults = faults;
  }
}

/**
 * @param {number} status
 * @param {any} body the parsed answer, or null when it was not JSON
 * @returns {Refusal}
 */
export function refusalOf(status, body) {
  const error = body?.error;
  if (!error || typeof error !== "object") {
    return new Refusal(status, "", `The server answered ${status} without saying why.`, []);
  }
  const faults = Array.isArray(error.errors) ? error.errors.map(faultOf) : [];
  return new Refusal(status, String(error.code ?? ""), String(error.message ?? `Status ${status}.`), faults);
}

/**
 * A refusal in a few lines of text: the message, then each fault that says more, with its hint.
 * @param {Refusal} refusal
 * @param {number} [most] how many faults to spell out
 * @returns {string}
 */
export function explain(refusal, most = 3) {
  const lines = refusal.faults.slice(0, most).map(line);
  const more = refusal.faults.length - lines.length;
  if (more > 0) lines.push(`… and ${more} more.`);
  const said = lines.some((text) => text.includes(refusal.message));
  return [...(said ? [] : [refusal.message]), ...lines].join("\n");
}

/** @param {any} fault @returns {Fault} */
function faultOf(fault) {
  const [nodeId, inputName] = place(String(fault?.pointer ?? ""));
  return { message: String(fault?.message ?? ""), hint: String(fault?.hint ?? ""), nodeId, inputName };
}

/**
 * Node and input of a JSON pointer such as /prompt/3/inputs/seed.
 * @param {string} pointer
 * @returns {[string | null, string | null]}
 */
function place(pointer) {
  const steps = pointer.split("/").slice(1).map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  if (steps[0] !== "prompt" || steps.length < 2) return [null, null];
  return [steps[1], steps[2] === "inputs" ? (steps[3] ?? null) : null];
}

/** @param {Fault} fault */
function line(fault) {
  const where = fault.nodeId === null ? "" : `Node ${fault.nodeId}: `;
  return `${where}${fault.message}${fault.hint ? ` ${fault.hint}` : ""}`;
}
