// @ts-check
/**
 * Running the open workflow with a priority: ask, submit, tell. Does not own the dialog, the request or the marks.
 */

import { executionIds } from "./graph.js";
import { explain, Refusal } from "./refusal.js";

/** @typedef {import("./api.js").ExpeditorClient} ExpeditorClient */
/** @typedef {import("./api.js").Job} Job */

export class PriorityRun {
  /**
   * @param {object} parts
   * @param {ComfyApp} parts.app
   * @param {ExpeditorClient} parts.client
   * @param {import("./toast.js").Toaster} parts.toaster
   * @param {import("./node_marks.js").NodeMarks} parts.marks
   * @param {() => Promise<number | null>} parts.askPriority null when the person changed their mind
   */
  constructor({ app, client, toaster, marks, askPriority }) {
    this._app = app;
    this._client = client;
    this._toaster = toaster;
    this._marks = marks;
    this._askPriority = askPriority;
  }

  /** The whole walk; never rejects, a failure is a toast. */
  async start() {
    const priority = await this._askPriority();
    if (priority === null) return;
    this._marks.clear();
    try {
      const job = await this._submit(priority);
      this._toaster.show("success", "Job queued", describe(job));
    } catch (error) {
      this._tell(error);
    }
  }

  /** @param {number} priority */
  async _submit(priority) {
    // The page's own Run button calls these two on every widget: seeds change by them.
    callWidgets(this._app.rootGraph, "beforeQueued");
    const job = await this._client.submit(await this._app.graphToPrompt(), priority);
    callWidgets(this._app.rootGraph, "afterQueued");
    this._app.canvas.setDirty(true, true);
    return job;
  }

  /** @param {unknown} error */
  _tell(error) {
    if (error instanceof Refusal) {
      this._marks.show(this._app.rootGraph, error.faults);
      this._toaster.show("error", "The job was not accepted", explain(error));
      return;
    }
    const reason = error instanceof Error ? error.message : String(error);
    this._toaster.show("error", "The job could not be sent", reason);
  }
}

/**
 * A queued job in one line, for example "Priority 7, position 2, starts in about 3 min (job 1b9d6bcd)".
 * @param {Job} job
 * @returns {string}
 */
export function describe(job) {
  const parts = [`Priority ${job.priority}`];
  if (typeof job.position === "number") parts.push(`position ${job.position}`);
  if (typeof job.eta_s === "number" && job.eta_s >= 1) parts.push(`about ${duration(job.eta_s)} to go`);
  return `${parts.join(", ")} (job ${job.id.slice(0, 8)})`;
}

/** @param {number} seconds */
function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** @param {any} graph @param {"beforeQueued" | "afterQueued"} callback */
function callWidgets(graph, callback) {
  for (const node of executionIds(graph).keys()) {
    for (const widget of node.widgets ?? []) widget[callback]?.({ isPartialExecution: false });
  }
}
