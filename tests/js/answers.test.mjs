// What is chosen, in which words an answer goes, and what the countdown says.
import assert from "node:assert/strict";
import { test } from "node:test";

import { approvalMessage, chosenText, isEnough, picksMessage, timeLeft, toggled } from "../../web/js/answers.js";

const pick = (least, most) => ({ kind: "pick", text: "", images: [{}, {}, {}, {}], least, most });
const approve = { kind: "approve", text: "a heron", images: [{}] };

test("pictures are chosen in order, and a second click takes one back", () => {
  const after = [2, 0, 3, 0].reduce((picks, number) => toggled(picks, number, 4), []);
  assert.deepEqual(after, [2, 3]);
  assert.equal(picksMessage(after), "2,3");
  assert.equal(picksMessage([]), "");
});

test("where one may be chosen another takes its place, else no more than may be are taken", () => {
  assert.deepEqual(toggled([1], 2, 1), [2]);
  assert.deepEqual(toggled([2], 2, 1), []);
  assert.deepEqual(toggled([0, 1], 2, 2), [0, 1]);
});

test("a choice is never changed in place", () => {
  const picks = Object.freeze([0]);
  assert.deepEqual([toggled(picks, 1, 4), picks], [[0, 1], [0]]);
});

test("a choice is enough between least and most", () => {
  assert.deepEqual([[], [0], [0, 1], [0, 1, 2]].map((picks) => isEnough(pick(1, 2), picks)), [false, true, true, false]);
  assert.equal(isEnough(pick(0, 2), []), true);
});

test("how many are to be chosen is said as a person would", () => {
  assert.equal(chosenText(pick(1, 1), []), "0 chosen, choose 1");
  assert.equal(chosenText(pick(1, 3), [0]), "1 chosen, choose 1 to 3");
  assert.equal(chosenText(pick(0, 3), [0, 1]), "2 chosen, choose up to 3");
});

test("a text goes only if it was edited", () => {
  assert.deepEqual(JSON.parse(approvalMessage(approve, true, "a heron")), { approved: true });
  assert.deepEqual(JSON.parse(approvalMessage(approve, false, "")), { approved: false, text: "" });
  assert.deepEqual(JSON.parse(approvalMessage(approve, true, 'an "egret"\n<b>')), { approved: true, text: 'an "egret"\n<b>' });
});

test("the time that is left", () => {
  const deadline = "2026-01-01T00:00:00.000Z";
  const left = (seconds) => timeLeft(deadline, Date.parse(deadline) - seconds * 1000);
  assert.deepEqual([3905, 250, 60, 9.2, 1, 0, -5].map(left), [
    "1 h 5 min left",
    "4 min 10 s left",
    "1 min 0 s left",
    "10 s left",
    "1 s left",
    "time is up",
    "time is up",
  ]);
  assert.equal(timeLeft("nonsense", 0), "time is up");
});
