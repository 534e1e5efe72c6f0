// @ts-check
/**
 * The page's doorway: the only file that knows ComfyUI's `app` and `api`. Makes the parts and hangs them on the page's
 * extension points; decides nothing itself.
 */

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { ExpeditorClient } from "./api.js";
import { showNode } from "./graph.js";
import { NodeMarks } from "./node_marks.js";
import { Panel } from "./panel.js";
import { PriorityRun } from "./run.js";
import { TabBadge } from "./tab_badge.js";
import { askPriority, PRIORITY_DEFAULT, PRIORITY_MAX, PRIORITY_MIN } from "./run_dialog.js";
import { Toaster } from "./toast.js";
import { translate } from "./translation.js";
import { WaitingNodes } from "./waiting_nodes.js";
import { Waits } from "./waits.js";

const DEFAULT_PRIORITY = "Expeditor.DefaultPriority";
const PANEL = "Expeditor.Panel";
const RUN = "Expeditor.RunWithPriority";

const client = new ExpeditorClient(api);
const marks = new NodeMarks(() => app.canvas?.setDirty(true, true));
const waits = new Waits(client);
const nodes = new WaitingNodes(waits, client, () => app.rootGraph);
const panel = new Panel(
  (wait, message) => waits.answer(wait, message),
  (route) => client.pictureUrl(route),
  { has: (wait) => nodes.nodeOf(wait) !== null, show: (wait) => showNode(app.canvas, nodes.nodeOf(wait)) },
);
waits.show(nodes);
waits.show(panel);
const run = new PriorityRun({
  app,
  client,
  marks,
  toaster: new Toaster(() => app.extensionManager.toast),
  askPriority: () => askPriority(app.extensionManager.setting.get(DEFAULT_PRIORITY)),
});

// At the top of the module: an event that comes before its listener is lost, and the page complains of an unknown type.
api.addEventListener("expeditor.event", (event) => waits.hear(event.detail));
api.addEventListener("reconnected", () => void waits.resync());
api.addEventListener("execution_start", () => marks.clear());

const style = document.createElement("link");
style.rel = "stylesheet";
style.href = new URL("../css/expeditor.css", import.meta.url).href;
document.head.append(style);

app.registerExtension({
  name: "Expeditor",
  commands: [
    {
      id: RUN,
      label: "Run with priority…",
      icon: "pi pi-sort-amount-up",
      tooltip: "Run the open workflow with a priority (10 is most urgent)",
      function: () => run.start(),
    },
  ],
  keybindings: [{ combo: { key: "p", ctrl: true, alt: true }, commandId: RUN }],
  menuCommands: [{ path: ["Extensions", "Expeditor"], commands: [RUN] }],
  actionBarButtons: [
    {
      icon: "pi pi-sort-amount-up",
      label: "Priority",
      tooltip: "Run with priority… (Ctrl+Alt+P)",
      onClick: () => void run.start(),
    },
  ],
  settings: [
    {
      id: DEFAULT_PRIORITY,
      name: "Priority offered by “Run with priority…”",
      tooltip: "1 to 10, 10 is most urgent",
      type: "slider",
      attrs: { min: PRIORITY_MIN, max: PRIORITY_MAX, step: 1 },
      defaultValue: PRIORITY_DEFAULT,
      category: ["Expeditor", "Queue", "Default priority"],
    },
  ],
  async addCustomNodeDefs(/** @type {Record<string, any>} */ definitions) {
    const language = app.extensionManager.setting.get("Comfy.Locale");
    if (language !== "en") translate(definitions, await client.nodeTexts(language));
  },
  nodeCreated(/** @type {any} */ node) {
    nodes.adopt(node);
  },
  afterConfigureGraph() {
    void waits.resync();
  },
  setup() {
    app.extensionManager.registerSidebarTab({
      id: PANEL,
      icon: "pi pi-comments",
      title: "Expeditor",
      label: "Needs you",
      tooltip: "Expeditor: what needs you",
      type: "custom",
      // The host element is shared by all custom tabs and may still hold another's content.
      render: (/** @type {HTMLElement} */ host) => host.replaceChildren(panel.element),
    });
    waits.show(new TabBadge(() => app.extensionManager.sidebarTab?.sidebarTabs?.find((/** @type {any} */ tab) => tab.id === PANEL)));
  },
});
