// The page's wait state: events and lists in any order.
import assert from "node:assert/strict";
import { test } from "node:test";

import { NO_WAITS, reduce, waitsOf } from "../../web/js/state.js";

const wait = (token, node_id = "7") => ({
  token,
  node_id,
  prompt_id: `job-of-${token}`,
  kind: "text",
  label: "Which?",
  text: "",
  images: [],
  least: null,
  most: null,
  deadline_at: "2026-01-01T00:00:00.000Z",
});
const waiting = (token, node_id) => ({ type: "message.waiting", opened_at: "x", max_bytes: 1, ...wait(token, node_id) });
const closed = (token) => ({ type: "message.closed", ...wait(token) });
const came = (...tokens) => ({ type: "list.came", waits: tokens.map((token) => wait(token)) });
const asked = { type: "list.asked" };
const after = (...events) => events.reduce(reduce, NO_WAITS);
const tokens = (state) => state.waits.map((each) => each.token);

test("a wait opens and closes", () => {
  assert.deepEqual(after(waiting("a")).waits, [wait("a")]);
  assert.deepEqual(tokens(after(waiting("a"), waiting("b"), closed("a"))), ["b"]);
});

test("a wait told twice is kept once", () => {
  assert.deepEqual(tokens(after(waiting("a"), waiting("a"))), ["a"]);
});

test("the list replaces what was known", () => {
  assert.deepEqual(tokens(after(waiting("old"), asked, came("a", "b"))), ["a", "b"]);
});

test("a wait that opened after the list was asked for is not lost", () => {
  assert.deepEqual(tokens(after(asked, waiting("new"), came("a"))), ["a", "new"]);
});

test("a wait that closed after the list was made does not come back", () => {
  assert.deepEqual(tokens(after(waiting("a"), asked, closed("a"), came("a"))), []);
  assert.deepEqual(tokens(after(closed("a"), waiting("a"))), []);
});

test("a list that holds an overtaking wait does not double it", () => {
  assert.deepEqual(tokens(after(asked, waiting("a"), came("a"))), ["a"]);
});

test("the memory of closed waits is bounded", () => {
  const state = after(...Array.from({ length: 500 }, (_, n) => closed(`t${n}`)));
  assert.equal(state.closed.length, 200);
  assert.equal(state.closed.at(-1), "t499");
});

test("foreign events change nothing, and states cannot be written", () => {
  const state = after(waiting("a"));
  assert.equal(reduce(state, { type: "job.queued" }), state);
  assert.throws(() => {
    state.waits = [];
  }, TypeError);
});

test("a node hears of the waits of all its execution ids only", () => {
  const state = after(waiting("a", "7"), waiting("b", "3:7"), waiting("c", "4:7"));
  assert.deepEqual(waitsOf(state, ["7"], "text").map((each) => each.token), ["a"]);
  assert.deepEqual(waitsOf(state, ["3:7", "4:7"], "text").map((each) => each.token), ["b", "c"]);
  assert.deepEqual(waitsOf(state, ["8"], "text"), []);
});

test("a node is not asked what another kind of node asks under its id, in another workflow", () => {
  const state = after(waiting("a", "7"), { ...waiting("b", "7"), kind: "pick", images: [{ url: "/x" }], least: 1, most: 1 });
  assert.deepEqual(waitsOf(state, ["7"], "pick").map((each) => each.token), ["b"]);
  assert.deepEqual(waitsOf(state, ["7"], "approve"), []);
});

test("a wait that an earlier version tells of is a text", () => {
  const told = { token: "old", node_id: "7", prompt_id: "job-of-old", label: "Which?", deadline_at: "2026-01-01T00:00:00.000Z" };
  assert.deepEqual(after(asked, { type: "list.came", waits: [told] }).waits, [wait("old")]);
});

test("the server's clock is known by the last list", () => {
  const state = after(asked, { type: "list.came", waits: [], skewMs: 1500 });
  assert.equal(state.skewMs, 1500);
  assert.equal(reduce(state, waiting("a")).skewMs, 1500);
});
