// What a scheduler in TypeScript writes, with the types that json-schema-to-typescript makes of the mail schema.

import type { AMailOnTheQueueMailOutbox as Mail } from "./mail-message.js";

const plain: Mail = {
  schemaVersion: 1,
  messageId: "sales:2026-11-23",
  tenantId: "6f1c0a52-0000-4000-8000-000000000001",
  to: ["cfo@contoso.com", { address: "ceo@contoso.com", name: "CEO" }],
  subject: "Sales",
  body: { contentType: "html", content: "<p>17</p>" },
  attachments: [{ name: "sales.pdf", contentType: "application/pdf", blob: "2026/sales.pdf" }],
  expiresAt: null,
};

// @ts-expect-error: `to` is a list.
const noList: Mail = { ...plain, to: "cfo@contoso.com" };
// @ts-expect-error: neither to, cc nor bcc.
const nobody: Mail = { ...plain, to: undefined };
// @ts-expect-error: a body has a text or a blob.
const noBody: Mail = { ...plain, body: { contentType: "text" } };
// @ts-expect-error: a flag is true or false.
const flag: Mail = { ...plain, saveToSentItems: "off" };

export const mails: readonly Mail[] = [plain, noList, nobody, noBody, flag];
