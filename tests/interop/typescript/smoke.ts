// Calls the API with a client whose types openapi-typescript makes, and prints what it saw as JSON.
// `smoke.ts before` ends with a started consent, `smoke.ts after` continues once it is complete.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Problem = components["schemas"]["ProblemDocument"];

const { API_URL = "", API_TOKEN = "", FROM_ADDRESS = "", FLOW_ID = "" } = process.env;
const anonymous = createClient<paths>({ baseUrl: API_URL });
const api = createClient<paths>({ baseUrl: API_URL, headers: { Authorization: `Bearer ${API_TOKEN}` } });

/** Return the body of a success; anything else ends the program. */
function must<Body>(response: { data?: Body; error?: unknown }): NonNullable<Body> {
  if (response.data == null) throw new Error(JSON.stringify(response.error));
  return response.data;
}

function shown(problem: Problem | undefined): object {
  return {
    status: problem?.status,
    code: problem?.code,
    whoActs: problem?.whoActs,
    fields: problem?.errors?.map((each) => each.field) ?? [],
  };
}

async function before(): Promise<object> {
  const path = { messageId: "no-such-mail" };
  const missing = await api.GET("/api/deliveries/{messageId}", { params: { path } });
  const wrong = await api.POST("/api/tenant-settings/smtp/enable", { body: { fromEmailAddress: "ada@" } });
  const unknown = await anonymous.GET("/api/tenant-settings/smtp");
  const settings = must(await api.GET("/api/tenant-settings/smtp"));
  const body = { fromEmailAddress: FROM_ADDRESS };
  const started = must(await api.POST("/api/tenant-settings/smtp/enable", { body }));
  const flow = must(await api.GET("/api/consent/{flowId}", { params: { path: { flowId: started.flowId } } }));
  return {
    health: must(await anonymous.GET("/api/health")).status,
    settings: { status: settings.status, from: settings.fromEmailAddress, problem: settings.problem },
    missing: shown(missing.error),
    wrong: shown(wrong.error),
    unknown: shown(unknown.error),
    flow: { status: flow.status, stage: flow.stage, problem: flow.problem?.code ?? null },
    flowId: started.flowId,
    startUrl: started.startUrl,
  };
}

async function after(): Promise<object> {
  const flow = must(await api.GET("/api/consent/{flowId}", { params: { path: { flowId: FLOW_ID } } }));
  const settings = must(await api.GET("/api/tenant-settings/smtp"));
  const wanted = { fromEmailAddress: FROM_ADDRESS, largeFileAttachments: false };
  const unchanged = must(await api.PUT("/api/tenant-settings/smtp", { body: wanted }));
  const changed = must(await api.PUT("/api/tenant-settings/smtp", { body: { ...wanted, askAgain: true } }));
  const mail = must(await api.POST("/api/tenant-settings/smtp/test-mail", { body: { to: "cfo@contoso.com" } }));
  const path = { messageId: mail.messageId };
  const deadline = Date.now() + 60_000;
  let delivery = (await api.GET("/api/deliveries/{messageId}", { params: { path } })).data;
  while (delivery?.status !== "accepted" && Date.now() < deadline) {
    await new Promise((done) => setTimeout(done, 200));
    delivery = (await api.GET("/api/deliveries/{messageId}", { params: { path } })).data;
  }
  const query = { status: "accepted", limit: 5 } as const;
  const list = must(await api.GET("/api/deliveries", { params: { query } }));
  const ready = must(await api.GET("/api/health/ready"));
  const reset = await api.POST("/api/tenant-settings/smtp/reset");
  return {
    flow: { status: flow.status, stage: flow.stage, problem: flow.problem?.code ?? null },
    settings: { status: settings.status, from: settings.fromEmailAddress, problem: settings.problem },
    unchanged: unchanged.startUrl,
    changed: changed.startUrl?.includes("#ticket="),
    delivery: { status: delivery?.status, to: delivery?.recipients.to, problem: delivery?.problem ?? null },
    listed: list.deliveries.some((each) => each.messageId === mail.messageId),
    ready: { status: ready.status, storage: Object.values(ready.parts).every((part) => part.status === "ok") },
    reset: reset.response.status,
  };
}

const seen = process.argv[2] === "before" ? await before() : await after();
console.log(JSON.stringify(seen));
