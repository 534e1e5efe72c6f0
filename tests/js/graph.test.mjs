// Execution ids of nodes on the canvas, with number ids (older pages) and text ids (newer ones).
import assert from "node:assert/strict";
import { test } from "node:test";

import { executionIds, nodeAt, showNode } from "../../web/js/graph.js";

const inner = { id: 7 };
const shared = { nodes: [inner] };
const root = { nodes: [{ id: 7 }, { id: "2" }, { id: 3, subgraph: shared }, { id: "4", subgraph: shared }] };

test("nodes of the root graph and of subgraphs, with every id they run under", () => {
  const found = executionIds(root);
  assert.equal(found.size, 5);
  assert.deepEqual(found.get(root.nodes[1]), ["2"]);
  assert.deepEqual(found.get(inner), ["3:7", "4:7"]);
});

test("a node is found by any of its ids, and only by them", () => {
  assert.equal(nodeAt(root, "7"), root.nodes[0]);
  assert.equal(nodeAt(root, "4:7"), inner);
  assert.equal(nodeAt(root, "2:7"), null);
});

test("no graph yet means no nodes", () => {
  assert.equal(executionIds(undefined).size, 0);
  assert.equal(nodeAt(undefined, "1"), null);
});

test("a node is brought into view, in the subgraph that holds it", () => {
  const did = [];
  const canvas = {
    graph: root,
    setGraph: (graph) => did.push(["graph", graph]),
    centerOnNode: (node) => did.push(["center", node]),
    select: (node) => did.push(["select", node]),
    setDirty: () => did.push(["draw"]),
  };
  const node = { id: 7, graph: shared };
  showNode(canvas, node);
  assert.deepEqual(did, [["graph", shared], ["center", node], ["select", node], ["draw"]]);
  did.length = 0;
  showNode(canvas, null);
  assert.deepEqual(did, []);
});
