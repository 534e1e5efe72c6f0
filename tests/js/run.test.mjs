// Running with a priority: order of the steps, what the person is told, which nodes are marked.
import assert from "node:assert/strict";
import { test } from "node:test";

import { NodeMarks } from "../../web/js/node_marks.js";
import { refusalOf } from "../../web/js/refusal.js";
import { describe, PriorityRun } from "../../web/js/run.js";
import { asPriority } from "../../web/js/run_dialog.js";
import { Toaster } from "../../web/js/toast.js";

function stage({ answer, priority = 7 }) {
  const steps = [];
  const widget = { beforeQueued: () => steps.push("before"), afterQueued: () => steps.push("after") };
  const node = { id: 3, widgets: [widget], inputs: [{ name: "seed" }, { name: "cfg" }] };
  const app = {
    rootGraph: { nodes: [node, { id: 4 }] },
    canvas: { setDirty: () => {} },
    graphToPrompt: async () => {
      steps.push("graph");
      return { output: {}, workflow: {} };
    },
  };
  const toasts = [];
  const toaster = new Toaster(() => ({ add: (toast) => toasts.push(toast) }));
  const client = {
    submit: async (_graph, chosen) => {
      steps.push(`submit ${chosen}`);
      return answer();
    },
  };
  const marks = new NodeMarks(() => steps.push("redraw"));
  const run = new PriorityRun({ app, client, toaster, marks, askPriority: async () => priority });
  return { run, steps, toasts, node, marks };
}

const queued = () => ({ id: "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", status: "queued", priority: 7, position: 2, eta_s: 200 });

test("the seeds of the page change around a submit, as with its own Run", async () => {
  const { run, steps, toasts } = stage({ answer: queued });
  await run.start();
  assert.deepEqual(steps, ["before", "graph", "submit 7", "after"]);
  assert.equal(toasts[0].severity, "success");
  assert.equal(toasts[0].detail, "Priority 7, position 2, about 3 min to go (job 1b9d6bcd)");
});

test("a person who cancels submits nothing", async () => {
  const { run, steps, toasts } = stage({ answer: queued, priority: null });
  await run.start();
  assert.deepEqual([steps, toasts], [[], []]);
});

test("a refusal marks the nodes at fault and is told; the next run takes the marks back", async () => {
  const refusal = refusalOf(422, {
    error: { message: "Does not fit.", errors: [{ pointer: "/prompt/3/inputs/seed", message: "Too big.", hint: "At most 9." }] },
  });
  let refuse = true;
  const { run, steps, toasts, node } = stage({
    answer: () => {
      if (refuse) throw refusal;
      return queued();
    },
  });
  await run.start();
  assert.equal(node.has_errors, true);
  assert.deepEqual(node.inputs.map((slot) => Boolean(slot.hasErrors)), [true, false]);
  assert.deepEqual([toasts[0].severity, toasts[0].detail], ["error", "Does not fit.\nNode 3: Too big. At most 9."]);
  assert.ok(!steps.includes("after"));
  refuse = false;
  await run.start();
  assert.deepEqual([node.has_errors, node.inputs[0].hasErrors], [false, false]);
});

test("marks of others stay", () => {
  const { marks, node } = stage({ answer: queued });
  node.has_errors = true;
  marks.show({ nodes: [node] }, [{ message: "", hint: "", nodeId: "3", inputName: null }]);
  marks.clear();
  assert.equal(node.has_errors, true);
});

test("a lost server is told, not thrown", async () => {
  const { run, toasts } = stage({
    answer: () => {
      throw new TypeError("Failed to fetch");
    },
  });
  await run.start();
  assert.deepEqual([toasts[0].severity, toasts[0].detail], ["error", "Failed to fetch"]);
});

test("both toast interfaces", () => {
  const told = [];
  const modern = new Toaster(() => ({ warning: (title, options) => told.push([title, options.description]), add: () => told.push("add") }));
  modern.show("warning", "Title", "Detail");
  new Toaster(() => ({ add: (toast) => told.push(toast.severity) })).show("warning", "Title", "Detail");
  assert.deepEqual(told, [["Title", "Detail"], "warn"]);
});

test("a job in one line", () => {
  const job = { id: "1b9d6bcd-x", status: "running", priority: 3 };
  assert.equal(describe({ ...job, position: null, eta_s: null }), "Priority 3 (job 1b9d6bcd)");
  assert.equal(describe({ ...job, position: 1, eta_s: 12.4 }), "Priority 3, position 1, about 12 s to go (job 1b9d6bcd)");
  assert.equal(describe({ ...job, position: 40, eta_s: 7200 }), "Priority 3, position 40, about 2 h to go (job 1b9d6bcd)");
});

test("whatever the setting holds, the dialog offers a priority", () => {
  assert.deepEqual([5, "8", 99, -4, 2.6, null, undefined, "", "x", NaN].map(asPriority), [5, 8, 10, 1, 3, 3, 3, 3, 3, 3]);
});
