// What the page files use of ComfyUI's frontend. The published type packages of the pinned versions come without their
// declarations, so the seams are declared here by hand; nodes and widgets of the canvas stay `any` on purpose.

interface ComfyToast {
  add(message: { severity: string; summary?: string; detail?: string; life?: number }): void;
  success?(title: string, options?: object): void;
  error?(title: string, options?: object): void;
  info?(title: string, options?: object): void;
  warning?(title: string, options?: object): void;
}

interface ComfyExtensionManager {
  toast: ComfyToast;
  dialog: {
    confirm(options: { title: string; message: string; type?: string }): Promise<boolean | null>;
    prompt(options: { title: string; message: string; defaultValue?: string }): Promise<string | null>;
  };
  setting: { get(id: string): any; set(id: string, value: any): Promise<void> };
  command: { execute(id: string): Promise<void> };
  registerSidebarTab(tab: object): void;
  [later: string]: any;
}

interface ComfyApp {
  registerExtension(extension: { name: string; [hook: string]: any }): void;
  graphToPrompt(): Promise<{ workflow: any; output: Record<string, any> }>;
  rootGraph: any;
  graph: any;
  canvas: any;
  ui: any;
  extensionManager: ComfyExtensionManager;
  queuePrompt(number: number, batchCount?: number, queueNodeIds?: string[]): Promise<boolean>;
}

interface ComfyApi {
  clientId?: string;
  initialClientId?: string | null;
  api_base: string;
  fetchApi(route: string, options?: RequestInit & { timeoutMs?: number | null }): Promise<Response>;
  apiURL(route: string): string;
  fileURL(route: string): string;
  addEventListener(type: string, listener: ((event: CustomEvent<any>) => void) | null, options?: AddEventListenerOptions | boolean): void;
  removeEventListener(type: string, listener: ((event: CustomEvent<any>) => void) | null, options?: EventListenerOptions | boolean): void;
}

declare module "*/scripts/app.js" {
  export const app: ComfyApp;
}

declare module "*/scripts/api.js" {
  export const api: ComfyApi;
}
