// The details of the connection, and the consent in progress.

import { byId, element, showBadge } from "./element.js";
import { age, count, moment, shortTime, STAGES, STATUSES, timeLeft } from "./words.js";

const AUTHORIZATIONS = {
  delegated: "Delegated: the consenting account's permission",
  application: "Application: the app's own permission",
};

const RECIPIENTS_SEE_UNKNOWN = "The mailbox's primary address, which is not known here; a test mail shows it";
const EXCHANGE_DECIDES = "Decided by Exchange (RBAC for Applications); the token does not contain them";

export function showConnection(settings) {
  showBadge(byId("badge"), STATUSES[settings.status] ?? [settings.status, "neutral"]);
  const list = byId("facts");
  list.replaceChildren();
  const connected = settings.status !== "not_configured";
  byId("unconnected").hidden = connected;
  byId("examination").hidden = !connected;
  for (const [name, value, title] of rows(settings)) {
    if (!value) continue;
    const shown = element("dd", { text: value });
    if (title) shown.title = title;
    list.append(element("div", {}, element("dt", { text: name }), shown));
  }
}

function rows(settings) {
  const found = [
    ["Sender", settings.fromEmailAddress],
    ["Recipients see", settings.fromEmailAddress && (settings.recipientsSee ?? RECIPIENTS_SEE_UNKNOWN)],
    ["Consented by", settings.consentedBy],
    ["Consented", settings.consentedAt && moment(settings.consentedAt)],
    ["Set up by", settings.consentedBy ? null : settings.consentStartedBy],
    ["Permissions", settings.exchangeDecides ? EXCHANGE_DECIDES : settings.permissions.join(", ")],
    ["Granted but not used", settings.surplusPermissions.join(", ")],
    ["Token renewed", settings.tokenRefreshedAt && age(settings.tokenRefreshedAt), settings.tokenRefreshedAt],
    ["Permission type", settings.fromEmailAddress && AUTHORIZATIONS[settings.authorization]],
  ];
  if (settings.delegatedMailbox) {
    found.splice(2, 0, ["Delegated mailbox", `${settings.consentedBy} sends as ${settings.fromEmailAddress}`]);
  }
  if (settings.tokensLeftBehind) {
    found.push(["Old tokens", "still in the vault, unused; the app tries every day to delete them"]);
  }
  if (settings.tokensRecoverableUntil) {
    found.push(["Deleted tokens, recoverable by the operator until", moment(settings.tokensRecoverableUntil)]);
  }
  if (settings.backlog) {
    const { mails, emptyAt } = settings.backlog;
    found.push(["Backlog", `About ${count(mails, "mail")}, the last sent at about ${shortTime(emptyAt)}`]);
  }
  if (settings.waitingMails) {
    found.push(["Waiting", `${count(settings.waitingMails, "mail")}, until someone acts`]);
  }
  return found;
}

let expiresAt = null;

/** Show the consent in progress; `link` opens it if the browser blocked the window. */
export function showPending(pending, link) {
  byId("pending").hidden = !pending;
  expiresAt = pending?.expiresAt ?? null;
  tick();
  if (!pending) return;
  const more = pending.largeFileAttachments ? ", with large file attachments" : "";
  byId("pending-what").textContent = `For ${pending.fromEmailAddress}${more}.`;
  byId("blocked").hidden = !link;
  if (link) byId("consent-link").href = link;
}

/** Show what the consent in progress waits for. */
export function showStage(stage) {
  const text = STAGES[stage] ?? STAGES.at_microsoft;
  // Only a change is announced by a screen reader.
  if (byId("pending-stage").textContent !== text) byId("pending-stage").textContent = text;
}

function tick() {
  byId("countdown").textContent = expiresAt ? `${timeLeft(expiresAt)} left` : "";
}

setInterval(tick, 1000);
