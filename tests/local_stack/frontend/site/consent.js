// The consent window. Its outcome is read from the API, because Microsoft's pages disconnect a window from its
// opener (Cross-Origin-Opener-Policy): after that, `closed` is true although the window is open.

const EVERY_MS = 1000;
const FEATURES = "popup,width=520,height=720";
const CHANNEL = "inforiver-mail-consent";

/** Open the window during the click: browsers block a later call. */
export function openConsentWindow() {
  const opened = window.open("", "_blank", FEATURES);
  if (opened) {
    opened.document.title = "Opening Microsoft's consent screen";
    opened.document.body.textContent = "Opening Microsoft's consent screen …";
  }
  return {
    blocked: opened === null,
    lead(startUrl) {
      if (!opened) return;
      opened.opener = null;
      opened.location.replace(startUrl);
    },
    close: () => opened?.close(),
  };
}

/** Polls the API until one consent has ended. */
export class ConsentWatch {
  #flowId = null;
  #timer = 0;
  #polling = false;
  #channel = openChannel();

  /** `onEnd` gets the flow, or null when the API no longer knows it; `onStage` gets each stage before that. */
  constructor(readFlow, onEnd, onStage) {
    this.readFlow = readFlow;
    this.onEnd = onEnd;
    this.onStage = onStage;
    addEventListener("focus", () => this.#poll());
    document.addEventListener("visibilitychange", () => this.#poll());
    // Only a hint to call the API: tabs of this origin send it, and the result page if it has the same origin.
    this.#channel?.addEventListener("message", () => this.#poll());
  }

  get flowId() {
    return this.#flowId;
  }

  follow(flowId) {
    if (this.#flowId === flowId) return;
    this.stop();
    this.#flowId = flowId;
    this.#next();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#flowId = null;
  }

  #next() {
    clearTimeout(this.#timer);
    if (this.#flowId) this.#timer = setTimeout(() => this.#poll(), EVERY_MS);
  }

  async #poll() {
    const flowId = this.#flowId;
    if (!flowId || this.#polling) return;
    this.#polling = true;
    let flow;
    try {
      flow = await this.readFlow(flowId);
    } catch (problem) {
      flow = problem.document?.code === "consent_not_found" ? null : undefined;
    }
    this.#polling = false;
    if (flowId === this.#flowId && flow?.stage) this.onStage(flow.stage);
    if (flowId !== this.#flowId || flow === undefined || flow?.status === "pending") {
      this.#next();
      return;
    }
    this.stop();
    if (flow) this.#channel?.postMessage({ flowId, outcome: flow.status });
    this.onEnd(flow);
  }
}

/** Firefox refuses a channel to a site whose cookies are blocked. */
function openChannel() {
  try {
    return new BroadcastChannel(CHANNEL);
  } catch {
    return null;
  }
}
