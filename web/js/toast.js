// @ts-check
/**
 * Short notices, on both of the page's toast interfaces. Does not decide what is worth one.
 */

const DURATION_MS = 6000;

/** @typedef {"info" | "success" | "warning" | "error"} Severity */

export class Toaster {
  /** @param {() => ComfyToast} toast looked up late: the manager is not there when the module loads */
  constructor(toast) {
    this._toast = toast;
  }

  /**
   * @param {Severity} severity
   * @param {string} title
   * @param {string} detail
   */
  show(severity, title, detail) {
    const toast = this._toast();
    const modern = toast[severity];
    if (typeof modern === "function") {
      modern.call(toast, title, { description: detail, duration: DURATION_MS });
      return;
    }
    const oldName = severity === "warning" ? "warn" : severity;
    toast.add({ severity: oldName, summary: title, detail, life: DURATION_MS });
  }
}
