// The page's half of the example: a function that posts FormData to the pack's own route, and a button on the node.
// Plain ES module, no build. ComfyUI loads every .js file below WEB_DIRECTORY.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";

/**
 * Send a text to a node. `api.fetchApi` adds the prefix and the headers that ComfyUI's page uses.
 * The browser writes the Content-Type of a FormData body, with its boundary: do not set it yourself.
 *
 * @param {string | number} node_id
 * @param {string} message
 */
export async function send_message(node_id, message) {
  const body = new FormData();
  body.append("node_id", String(node_id));
  body.append("message", message);
  const response = await api.fetchApi("/custom_route/messages", { method: "POST", body });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

api.addEventListener("custom_route.message", (event) => console.info("message", event.detail));

function tell(fault) {
  app.extensionManager.toast.add({ severity: "error", summary: "Not sent", detail: fault.message, life: 5000 });
}

app.registerExtension({
  name: "examples.custom_route",
  nodeCreated(node) {
    if (node.comfyClass !== "CustomRouteLastMessage") return;
    // serialize: false keeps both out of the prompt: the server's half of the node does not know them.
    const text = node.addWidget("text", "message", "", () => {}, { serialize: false });
    node.addWidget("button", "Send", null, () => send_message(node.id, text.value).catch(tell), { serialize: false });
  },
});
