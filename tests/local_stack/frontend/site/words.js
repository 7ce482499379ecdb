// The texts for the API's values on this page. The texts of problems come from the API.

export const STATUSES = {
  not_configured: ["Not configured", "neutral"],
  enabled: ["Enabled", "good"],
  reconnect_needed: ["Consent needed again", "bad"],
  operator_error: ["Operator must act", "bad"],
  sender_refused: ["Refused by Microsoft 365", "bad"],
  other_version: ["Written by another version", "bad"],
};

export const DELIVERIES = {
  sending: ["Sending", "neutral"],
  deferred: ["Deferred", "warn"],
  waiting_for_consent: ["Waiting for consent", "warn"],
  waiting_for_operator: ["Waiting for the operator", "warn"],
  waiting_for_microsoft365: ["Waiting for Microsoft 365", "warn"],
  verifying: ["Being verified", "neutral"],
  accepted: ["Accepted", "good"],
  rejected: ["Rejected", "bad"],
  invalid: ["Invalid", "bad"],
  unknown: ["Unknown", "bad"],
  expired: ["Expired", "bad"],
  other_version: ["Written by another version", "warn"],
};

/** What a pending consent waits for. */
export const STAGES = {
  link_not_opened: "Sign in to Microsoft in the consent window. If it is closed, press Start again.",
  at_microsoft: "Finish the consent in Microsoft's window. If it is closed, press Start again.",
  confirming: "Microsoft has responded and is confirming the permissions. This takes up to two minutes.",
  other_account: "Another account signed in. That person must press Continue in the consent window.",
};

export const WHO_ACTS = {
  workspace_admin: "A workspace admin",
  microsoft365_admin: "A Microsoft 365 admin",
  operator: "The operator of this installation",
  caller: "The sender of the request",
  nobody: "Nobody; the app retries automatically",
};

const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const SHORT = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const AGE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];

export function moment(text) {
  return MOMENT.format(new Date(text));
}

export function clockTime(text) {
  return today(text, CLOCK);
}

/** A time to the minute, with its date unless that is today. */
export function shortTime(text) {
  return today(text, SHORT);
}

function today(text, format) {
  const at = new Date(text);
  return at.toDateString() === new Date().toDateString() ? format.format(at) : MOMENT.format(at);
}

export function age(text) {
  const seconds = (Date.now() - new Date(text)) / 1000;
  const [unit, size] = UNITS.find(([, each]) => seconds >= each) ?? ["minute", 60];
  return seconds < 60 ? "less than a minute ago" : AGE.format(-Math.floor(seconds / size), unit);
}

export function timeLeft(text) {
  const seconds = Math.max(0, Math.round((new Date(text) - Date.now()) / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}
