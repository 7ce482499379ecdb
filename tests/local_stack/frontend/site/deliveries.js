// The list of deliveries, with a Retry button where the API accepts a retry.

import { byId, element, showBadge } from "./element.js";
import { clockTime, count, DELIVERIES, moment, shortTime, WHO_ACTS } from "./words.js";

/** The states that `POST /api/deliveries/{messageId}/retry` accepts. */
export const RETRIABLE = new Set([
  "rejected", "expired", "unknown", "waiting_for_consent", "waiting_for_operator", "waiting_for_microsoft365",
]);

let shown = "";

export function showDeliveries(deliveries, retry) {
  // Rows are rebuilt only when something changed, so that a reader and the focus stay where they are.
  const text = JSON.stringify(deliveries);
  if (text === shown) return;
  shown = text;
  const focused = document.activeElement?.dataset.message;
  byId("no-mails").hidden = deliveries.length > 0;
  byId("table-frame").hidden = deliveries.length === 0;
  byId("rows").replaceChildren(...deliveries.map((each) => row(each, retry)));
  if (focused) document.querySelector(`[data-message="${CSS.escape(focused)}"]`)?.focus();
}

function row(delivery, retry) {
  return element(
    "tr",
    { attributes: { "data-message-id": delivery.messageId, "data-status": delivery.status } },
    cell("Queued", { text: clockTime(delivery.queuedAt) }),
    cell("State", {}, badge(delivery.status)),
    cell("Recipients", { text: recipients(delivery.recipients) }),
    cell("Details", {}, ...story(delivery)),
    cell("Action", {}, ...actions(delivery, retry)),
  );
}

function cell(label, options, ...children) {
  return element("td", { ...options, attributes: { "data-label": label } }, ...children);
}

function badge(status) {
  const made = element("span", { className: "badge" });
  showBadge(made, DELIVERIES[status] ?? [status, "neutral"]);
  return made;
}

function recipients({ to, cc, bcc, domains }) {
  return domains.length ? `${to + cc + bcc} at ${domains.join(", ")}` : "–";
}

function story(delivery) {
  const parts = [];
  if (delivery.problem) {
    parts.push(element("strong", { text: delivery.problem.title }));
    parts.push(element("p", { text: delivery.problem.detail }));
    parts.push(element("p", { className: "hint", text: `Who must act: ${WHO_ACTS[delivery.problem.whoActs]}` }));
  } else if (delivery.fromEmailAddress) {
    parts.push(element("span", { text: `From ${delivery.fromEmailAddress}` }));
  }
  if (delivery.conflict) parts.push(noted("Conflict", "bad", delivery.conflict));
  parts.push(...delivery.warnings.map((warning) => noted("Warning", "warn", warning)));
  parts.push(...nextStep(delivery));
  const attempts = delivery.attempt > 1 ? `, ${count(delivery.attempt, "attempt")}` : "";
  parts.push(element("p", { className: "hint id", text: `${delivery.messageId}${attempts}` }));
  return parts;
}

/** Show when the mail is expected to be sent, if that is known. */
function nextStep({ predictedAt, mailsBefore, likelyToExpireAt, nextAttemptAt }) {
  if (likelyToExpireAt) {
    const sent = predictedAt ? `at about ${shortTime(predictedAt)}` : "later";
    const reason = `because it can only be sent ${sent}`;
    return [badged("Likely to expire", "warn", `at ${shortTime(likelyToExpireAt)}, ${reason}`)];
  }
  if (predictedAt) {
    const before = { null: "", 0: ", it is next" }[mailsBefore] ?? `, ${count(mailsBefore, "mail")} before it`;
    return [element("p", { className: "expected", text: `Expected at about ${shortTime(predictedAt)}${before}` })];
  }
  if (!nextAttemptAt) return [];
  return [element("p", { className: "hint", text: `Next attempt: ${moment(nextAttemptAt)}` })];
}

/** Show a conflict with another mail, or a warning about this one. */
function noted(word, tone, { code, since, detail }) {
  return badged(word, tone, `${moment(since)}: ${detail}`, { "data-code": code });
}

function badged(word, tone, text, attributes = {}) {
  const badge = element("span", { className: "badge" });
  showBadge(badge, [word, tone]);
  return element("p", { className: "hint", attributes }, badge, element("span", { text: ` ${text}` }));
}

function actions(delivery, retry) {
  if (!RETRIABLE.has(delivery.status)) return [];
  return [
    element("button", {
      text: "Retry",
      attributes: { type: "button", "data-message": delivery.messageId, "aria-label": `Retry ${delivery.messageId}` },
      onClick: () => retry(delivery.messageId),
    }),
  ];
}
