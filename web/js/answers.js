// @ts-check
/**
 * What can be answered to a question, and in which words it is sent. Pure.
 * Owns the choice of pictures and the countdown's text; does not own drawing or sending.
 */

/** @typedef {import("./state.js").OpenWait} OpenWait */

/** The kind of question that each of our nodes asks. @type {Readonly<Record<string, string>>} */
export const KINDS = Object.freeze({ WaitForMessage: "text", ApproveImage: "approve", PickImages: "pick" });

/**
 * The choice after a click on a picture. Where one may be chosen the new one takes its place; more than `most` are not taken.
 * @param {readonly number[]} picks in the order in which they were chosen
 * @param {number} number
 * @param {number} most
 * @returns {readonly number[]}
 */
export function toggled(picks, number, most) {
  if (picks.includes(number)) return picks.filter((each) => each !== number);
  if (most === 1) return [number];
  return picks.length < most ? [...picks, number] : picks;
}

/** @param {OpenWait} wait @param {readonly number[]} picks */
export function isEnough(wait, picks) {
  return picks.length >= (wait.least ?? 0) && picks.length <= (wait.most ?? 0);
}

/** @param {OpenWait} wait @param {readonly number[]} picks */
export function chosenText(wait, picks) {
  const [least, most] = [wait.least ?? 0, wait.most ?? 0];
  const wanted = least === most ? `${least}` : least === 0 ? `up to ${most}` : `${least} to ${most}`;
  return `${picks.length} chosen, choose ${wanted}`;
}

/** @param {readonly number[]} picks */
export function picksMessage(picks) {
  return picks.join(",");
}

/** A text that was not edited is not sent: where it is too long the page may not have all of it.
 * @param {OpenWait} wait @param {boolean} approved @param {string} text */
export function approvalMessage(wait, approved, text) {
  return JSON.stringify(text === wait.text ? { approved } : { approved, text });
}

/**
 * @param {string} deadlineAt RFC 3339
 * @param {number} nowMs by the server's clock
 */
export function timeLeft(deadlineAt, nowMs) {
  const seconds = Math.ceil((Date.parse(deadlineAt) - nowMs) / 1000);
  if (!(seconds > 0)) return "time is up";
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min left`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s left` : `${seconds} s left`;
}
