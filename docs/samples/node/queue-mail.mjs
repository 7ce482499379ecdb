// Upload a report and queue a mail with it as attachment.
//
//   export MAIL_QUEUE_ENDPOINT=https://<account>.queue.core.windows.net
//   export MAIL_BLOB_ENDPOINT=https://<account>.blob.core.windows.net
//   export MAIL_TENANT_ID=<tenant>
//   npm ci
//   node queue-mail.mjs sales-weekly:2026-11-23:emea cfo@contoso.com report.pdf
//
// Running it again with the same message id and report sends no second mail. It prints the message id.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { env, argv } from "node:process";

import { DefaultAzureCredential } from "@azure/identity";
import { BlobServiceClient } from "@azure/storage-blob";
import { QueueServiceClient } from "@azure/storage-queue";

const [messageId, recipient, report] = argv.slice(2);
if (!report || !env.MAIL_TENANT_ID) {
  console.error("usage: node queue-mail.mjs <message id> <recipient> <file.pdf>, with the variables above");
  process.exit(2);
}
const tenantId = env.MAIL_TENANT_ID.toLowerCase();
// Uses a managed identity if there is one, and on a laptop your `az login`.
const credential = new DefaultAzureCredential();

// The path is derived from the content: the same report always has the same path, and no report replaces another.
const content = await readFile(report);
const path = `${tenantId}/${createHash("sha256").update(content).digest("hex")}.pdf`;
await new BlobServiceClient(env.MAIL_BLOB_ENDPOINT, credential)
  .getContainerClient("attachments")
  .getBlockBlobClient(path)
  .uploadData(content, { blobHTTPHeaders: { blobContentType: "application/pdf" } });

const message = {
  schemaVersion: 1,
  // Derived from schedule, due time and audience, never random: a second run must use the same id.
  messageId,
  tenantId,
  to: [recipient],
  subject: "Weekly sales, EMEA",
  body: { contentType: "html", content: "<p>Grüße, the report is attached.</p>" },
  attachments: [{ name: basename(report), contentType: "application/pdf", blob: path }],
  expiresAt: new Date(Date.now() + 24 * 3600 * 1000).toISOString(),
  // Undefined if no program reads the outcome (read-outcomes.mjs reads it).
  outcomeQueue: env.MAIL_OUTCOME_QUEUE,
};
// The client retries temporary failures. -1: the message never expires in the queue.
await new QueueServiceClient(env.MAIL_QUEUE_ENDPOINT, credential, { retryOptions: { maxTries: 5 } })
  .getQueueClient("mail-outbox")
  .sendMessage(JSON.stringify(message), { messageTimeToLive: -1 });
console.log(messageId);
