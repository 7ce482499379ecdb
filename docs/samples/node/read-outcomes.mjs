// Read the outcome messages of mails from their queue, and print each outcome once.
//
//   export MAIL_QUEUE_ENDPOINT=https://<account>.queue.core.windows.net
//   export MAIL_OUTCOME_QUEUE=mail-outcomes
//   npm ci
//   node read-outcomes.mjs
//
// Exits when the queue is empty; run it regularly.

import { Buffer } from "node:buffer";
import { env } from "node:process";

import { DefaultAzureCredential } from "@azure/identity";
import { QueueClient } from "@azure/storage-queue";

// A real scheduler stores this with its mails: the highest sequence that it has seen of each.
const seen = new Map();
const queue = new QueueClient(`${env.MAIL_QUEUE_ENDPOINT}/${env.MAIL_OUTCOME_QUEUE}`, new DefaultAzureCredential());
for (;;) {
  // The default is one message per call.
  const { receivedMessageItems } = await queue.receiveMessages({ numberOfMessages: 32, visibilityTimeout: 60 });
  if (receivedMessageItems.length === 0) break;
  for (const message of receivedMessageItems) {
    const outcome = JSON.parse(Buffer.from(message.messageText, "base64").toString());
    // The same outcome can arrive twice, and an earlier one after a later one.
    if (outcome.sequence > (seen.get(outcome.messageId) ?? 0)) {
      seen.set(outcome.messageId, outcome.sequence);
      console.log(outcome.messageId, outcome.sequence, outcome.status, outcome.code ?? "-");
    }
    // Only after processing: if the program ends before, the message is delivered again.
    await queue.deleteMessage(message.messageId, message.popReceipt);
  }
}
