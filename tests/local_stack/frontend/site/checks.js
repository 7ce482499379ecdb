// The results of the API's checks.

import { byId, element, showBadge } from "./element.js";
import { clockTime, WHO_ACTS } from "./words.js";

const NAMES = {
  consent: "Consent",
  permissions: "Permissions",
  token: "Access token",
  mailbox: "Mailbox",
  send_as: "Sending as the From address",
};

const OUTCOMES = {
  ok: ["OK", "good"],
  warning: ["Warning", "warn"],
  failed: ["Failed", "bad"],
  skipped: ["Skipped", "neutral"],
};

/** Show the results of a check, or none (null). */
export function showChecks(examination) {
  byId("checks").replaceChildren(...(examination?.checks ?? []).map(item));
  byId("unchecked").hidden = examination !== null;
  byId("checked-at").textContent = examination ? `Checked at ${clockTime(examination.checkedAt)}` : "";
}

/** Summarise the results in one sentence. */
export function summary({ checks }) {
  const failed = checks.filter((each) => each.status === "failed");
  const warned = checks.some((each) => each.status === "warning");
  if (failed.length === 0) return warned ? "The check has a warning; mail is sent." : "The check found no problem.";
  return `The check failed at: ${failed.map((each) => NAMES[each.name] ?? each.name).join(", ")}.`;
}

function item(check) {
  const badge = element("span", { className: "badge" });
  showBadge(badge, OUTCOMES[check.status] ?? [check.status, "neutral"]);
  const lines = [
    element("strong", { text: NAMES[check.name] ?? check.name }),
    element("p", { className: "hint", text: check.detail }),
  ];
  if (check.problem) {
    lines.push(element("p", { className: "hint", text: `Who must act: ${WHO_ACTS[check.whoActs] ?? check.whoActs}` }));
  }
  return element("li", { attributes: { "data-check": check.name } }, badge, element("div", {}, ...lines));
}
