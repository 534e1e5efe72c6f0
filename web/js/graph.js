// @ts-check
/**
 * Finding nodes in the open graph and its subgraphs, and bringing one into view. Graph objects are read, never changed.
 * Node ids are numbers in older pages and strings in newer ones; execution ids are text such as "3:7".
 */

/**
 * All nodes with the ids under which they run; a node of a subgraph that is used twice runs under two.
 * @param {any} graph the root graph
 * @returns {Map<any, string[]>}
 */
export function executionIds(graph) {
  /** @type {Map<any, string[]>} */
  const found = new Map();
  collect(graph, "", found);
  return found;
}

/**
 * The node that runs under an execution id, or null.
 * @param {any} graph the root graph
 * @param {string} executionId
 * @returns {any}
 */
export function nodeAt(graph, executionId) {
  for (const [node, ids] of executionIds(graph)) {
    if (ids.includes(executionId)) return node;
  }
  return null;
}

/**
 * Opens the subgraph that holds a node, brings it into the middle and selects it. Nothing happens for null.
 * @param {any} canvas
 * @param {any} node
 */
export function showNode(canvas, node) {
  if (!node) return;
  if (node.graph && canvas.graph !== node.graph) canvas.setGraph(node.graph);
  canvas.centerOnNode(node);
  canvas.deselectAll?.();
  canvas.select?.(node);
  canvas.setDirty(true, true);
}

/** @param {any} graph @param {string} prefix @param {Map<any, string[]>} found */
function collect(graph, prefix, found) {
  for (const node of graph?.nodes ?? []) {
    const id = `${prefix}${node.id}`;
    found.set(node, [...(found.get(node) ?? []), id]);
    if (node.subgraph) collect(node.subgraph, `${id}:`, found);
  }
}
