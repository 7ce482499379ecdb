// Take the messages on how mails ended from their queue, and print each end once.
//
//   export MAIL_QUEUE_ENDPOINT=https://<account>.queue.core.windows.net
//   export MAIL_OUTCOME_QUEUE=mail-outcomes
//   npm ci
//   node read-outcomes.mjs
//
// Ends when the queue is empty; run it as often as you want to know.

import { Buffer } from "node:buffer";
import { env } from "node:process";

import { DefaultAzureCredential } from "@azure/identity";
import { QueueClient } from "@azure/storage-queue";

// A real scheduler keeps this beside its mails: the highest sequence that it has seen of each.
const seen = new Map();
const queue = new QueueClient(`${env.MAIL_QUEUE_ENDPOINT}/${env.MAIL_OUTCOME_QUEUE}`, new DefaultAzureCredential());
for (;;) {
  // The default is one message a call.
  const { receivedMessageItems } = await queue.receiveMessages({ numberOfMessages: 32, visibilityTimeout: 60 });
  if (receivedMessageItems.length === 0) break;
  for (const message of receivedMessageItems) {
    const outcome = JSON.parse(Buffer.from(message.messageText, "base64").toString());
    // The same end can come twice, and an earlier one after a later one.
    if (outcome.sequence > (seen.get(outcome.messageId) ?? 0)) {
      seen.set(outcome.messageId, outcome.sequence);
      console.log(outcome.messageId, outcome.sequence, outcome.status, outcome.code ?? "-");
    }
    // Only now: a program that ends before gets it again.
    await queue.deleteMessage(message.messageId, message.popReceipt);
  }
}
