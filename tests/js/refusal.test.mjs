// The server's refusals, as the page tells them.
import assert from "node:assert/strict";
import { test } from "node:test";

import { explain, refusalOf } from "../../web/js/refusal.js";

const envelope = (errors, message = "Two inputs do not fit.") => ({ error: { code: "INPUT_INVALID", message, details: {}, errors } });

test("status, code, message and the place of every fault", () => {
  const refusal = refusalOf(422, envelope([
    { pointer: "/prompt/3:1/inputs/see~1d~0", code: "INPUT_INVALID", message: "Too big.", hint: "At most 10." },
    { pointer: "/prompt/4", code: "UNKNOWN_NODE", message: "No such class.", hint: null },
    { pointer: "/priority", code: "INPUT_INVALID", message: "1 to 10." },
  ]));
  assert.deepEqual([refusal.status, refusal.code, refusal.message], [422, "INPUT_INVALID", "Two inputs do not fit."]);
  assert.deepEqual(refusal.faults, [
    { message: "Too big.", hint: "At most 10.", nodeId: "3:1", inputName: "see/d~" },
    { message: "No such class.", hint: "", nodeId: "4", inputName: null },
    { message: "1 to 10.", hint: "", nodeId: null, inputName: null },
  ]);
});

test("the text names node, fault and hint, and counts what it leaves out", () => {
  const faults = [1, 2, 3, 4, 5].map((n) => ({ pointer: `/prompt/${n}`, message: `Fault ${n}.`, hint: n === 1 ? "Try 2." : null }));
  assert.equal(
    explain(refusalOf(422, envelope(faults))),
    "Two inputs do not fit.\nNode 1: Fault 1. Try 2.\nNode 2: Fault 2.\nNode 3: Fault 3.\n… and 2 more.",
  );
});

test("a message that a fault repeats is told once", () => {
  const refusal = refusalOf(422, envelope([{ pointer: "/priority", message: "priority is 1 to 10." }], "priority is 1 to 10."));
  assert.equal(explain(refusal), "priority is 1 to 10.");
});

test("an answer that is not ours still says something", () => {
  for (const body of [null, {}, { error: "no" }, "text"]) {
    const refusal = refusalOf(502, body);
    assert.equal(refusal.status, 502);
    assert.match(explain(refusal), /502/);
  }
});
