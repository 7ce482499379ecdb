// Wait until a mail has a final status, and print the delivery as JSON.
//
//   export MAIL_API_URL=https://<app>.azurewebsites.net
//   export MAIL_API_CLIENT_ID=<client id of the installation's app registration>
//   npm ci
//   node read-delivery.mjs sales-weekly:2026-11-23:emea
//
// The identity needs the app role Deliveries.Read. Exits with 0 for an accepted mail, 1 for any other final status,
// 2 if the mail has no final status within ten minutes.

import { argv, env } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

import { DefaultAzureCredential } from "@azure/identity";

const ends = ["accepted", "rejected", "invalid", "expired", "unknown"];
const [messageId] = argv.slice(2);
const credential = new DefaultAzureCredential();

// Returns null until the app has taken the message from the queue.
async function readDelivery() {
  const { token } = await credential.getToken(`${env.MAIL_API_CLIENT_ID}/.default`);
  const response = await fetch(`${env.MAIL_API_URL}/api/deliveries/${messageId}`, {
    headers: { Authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(30_000),
  });
  if (response.status === 404) return null;
  // A problem document describes the error and who must act.
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return response.json();
}

process.exitCode = 2;
for (const deadline = Date.now() + 600_000; Date.now() < deadline; await sleep(5_000)) {
  const delivery = await readDelivery();
  if (!ends.includes(delivery?.status)) continue;
  console.log(JSON.stringify(delivery));
  process.exitCode = delivery.status === "accepted" ? 0 : 1;
  break;
}
if (process.exitCode === 2) console.error(`${messageId} has no final status after ten minutes, or is no mail of this tenant`);
