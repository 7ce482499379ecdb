// The mailer's HTTP API. Every failure is thrown as a Problem with the API's problem document.

import { config } from "./config.js";
import { accessToken } from "./sign-in.js";

const SETTINGS = "/api/tenant-settings/smtp";

export class Problem extends Error {
  constructor(document) {
    super(document.detail);
    this.document = document;
  }
}

export const api = {
  /** Read the settings; `etag` is null where CORS hides the header. */
  async settings() {
    const response = await call("GET", SETTINGS);
    return { settings: await response.json(), etag: response.headers.get("ETag") };
  },
  enable: (wanted, etag) => json("POST", `${SETTINGS}/enable`, { body: wanted, etag }),
  /** Save; `startUrl` is null where nothing had to be changed. */
  save: (wanted, etag) => json("PUT", SETTINGS, { body: wanted, etag }),
  reset: (etag) => call("POST", `${SETTINGS}/reset`, { etag }),
  check: () => json("POST", `${SETTINGS}/check`),
  testMail: (to) => json("POST", `${SETTINGS}/test-mail`, { body: to ? { to } : undefined }),
  flow: (flowId) => json("GET", `/api/consent/${flowId}`),
  deliveries: (limit) => json("GET", `/api/deliveries?limit=${limit}`),
  retry: (messageId) => json("POST", `/api/deliveries/${encodeURIComponent(messageId)}/retry`),
  retryMany: (wanted) => json("POST", "/api/deliveries/retry", { body: wanted }),
};

async function json(method, path, options) {
  return (await call(method, path, options)).json();
}

async function call(method, path, { body, etag } = {}) {
  const response = await reach(method, path, body, etag);
  if (response.ok) return response;
  throw new Problem(await problemOf(response));
}

async function reach(method, path, body, etag) {
  try {
    const headers = { Authorization: `Bearer ${await accessToken()}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (etag) headers["If-Match"] = etag;
    return await fetch(config.apiUrl + path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
    });
  } catch {
    throw new Problem(unreachable());
  }
}

async function problemOf(response) {
  if (response.headers.get("Content-Type")?.startsWith("application/problem+json")) return response.json();
  return {
    title: "The mailer returned an unexpected response",
    detail: `The response had the status ${response.status}.`,
    code: "unreadable_response",
    whoActs: "operator",
  };
}

function unreachable() {
  return {
    title: "The mailer cannot be reached",
    detail: "The browser got no response. With the local stack, open the address below once and accept its certificate.",
    code: "api_unreachable",
    whoActs: "nobody",
    link: `${config.apiUrl}/api/health`,
  };
}
