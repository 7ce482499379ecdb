// The facts of the connection, and the consent under way.

import { byId, element, showBadge } from "./element.js";
import { age, count, moment, STATUSES, timeLeft } from "./words.js";

const AUTHORIZATIONS = {
  delegated: "Delegated: the consenting account's permission sends",
  application: "Application: the app's own permission sends",
};

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
    ["Consented by", settings.consentedBy],
    ["Consented", settings.consentedAt && moment(settings.consentedAt)],
    ["Permissions", settings.permissions.join(", ")],
    ["Token renewed", settings.tokenRefreshedAt && age(settings.tokenRefreshedAt), settings.tokenRefreshedAt],
    ["Authorisation", settings.fromEmailAddress && AUTHORIZATIONS[settings.authorization]],
  ];
  if (settings.delegatedMailbox) {
    found.splice(2, 0, ["Delegated mailbox", `${settings.consentedBy} sends as ${settings.fromEmailAddress}`]);
  }
  if (settings.tokensRecoverableUntil) {
    found.push(["Deleted tokens, recoverable by the operator until", moment(settings.tokensRecoverableUntil)]);
  }
  if (settings.waitingMails) found.push(["Waiting", count(settings.waitingMails, "mail")]);
  return found;
}

let expiresAt = null;

/** Show the consent under way; `link` is the way on where the browser blocked the window. */
export function showPending(pending, link) {
  byId("pending").hidden = !pending;
  expiresAt = pending?.expiresAt ?? null;
  tick();
  if (!pending) return;
  const more = pending.largeFileAttachments ? ", with large file attachments" : "";
  byId("pending-what").textContent =
    `For ${pending.fromEmailAddress}${more}. Finish it in Microsoft's window; if that is closed, start again.`;
  byId("blocked").hidden = !link;
  if (link) byId("consent-link").href = link;
}

function tick() {
  byId("countdown").textContent = expiresAt ? `${timeLeft(expiresAt)} left` : "";
}

setInterval(tick, 1000);
