// The form: what the admin enters, and which buttons are enabled. `actions` and `locked` come from the API;
// this page adds only whether the address is valid and whether anything was changed.

import { byId } from "./element.js";

const FULL_ADDRESS = /^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$/;
const LARGE_OFF = "Mails of up to about 2.9 MB are sent. When on, Microsoft asks for the permission Mail.ReadWrite as well.";
const LARGE_ON = "Files up to 150 MB are sent, with the permission Mail.ReadWrite.";
const LARGE_LOCKED = `${LARGE_ON} To switch it off, use Reset.`;

const from = byId("from");
const large = byId("large");
const askAgain = byId("ask-again");
const authorizations = [...document.getElementsByName("authorization")];
const buttons = {
  enable: byId("enable"),
  save: byId("save"),
  sendTestMail: byId("test-mail"),
  reset: byId("reset"),
};

let settings = null;
/** What the form was last filled with; if the entries differ, the admin is editing. */
let filled = { fromEmailAddress: "", largeFileAttachments: false };
let busy = false;

export function isAddress(text) {
  return FULL_ADDRESS.test(text.trim());
}

function entered() {
  return { fromEmailAddress: from.value.trim(), largeFileAttachments: large.checked };
}

/** The body for Save. */
export function toSave() {
  return { ...entered(), askAgain: askAgain.checked };
}

/** The body for Enable. */
export function toEnable() {
  return { ...toSave(), authorization: authorizations.find((each) => each.checked).value };
}

export function onAction(name, act) {
  buttons[name].addEventListener("click", act);
}

/** Show settings; keep what the admin is typing, unless `anew`. */
export function showForm(news, { anew = false } = {}) {
  settings = news;
  if (anew || !edited(filled)) fill(news.pendingConsent ?? stored());
  showSwitch("single", news.singleSenderIdentity.enabled, news.singleSenderIdentity.locked);
  const { locked, enabled } = news.largeFileAttachments;
  showSwitch("large", locked ? enabled : large.checked, locked);
  showAuthorizations(news);
  refresh();
}

export function setBusy(now) {
  busy = now;
  refresh();
}

function stored() {
  return {
    fromEmailAddress: settings.fromEmailAddress ?? "",
    largeFileAttachments: settings.largeFileAttachments.enabled,
  };
}

function fill({ fromEmailAddress, largeFileAttachments }) {
  filled = { fromEmailAddress, largeFileAttachments };
  from.value = fromEmailAddress;
  large.checked = largeFileAttachments;
  askAgain.checked = false;
  showWrong(false);
}

function edited(against) {
  const now = entered();
  return (
    now.fromEmailAddress !== against.fromEmailAddress ||
    now.largeFileAttachments !== against.largeFileAttachments
  );
}

function showSwitch(id, on, locked) {
  byId(id).checked = on;
  byId(id).disabled = locked;
  byId(`${id}-lock`).hidden = !locked;
}

/** Only Enable chooses the permission type; the app's own is offered where the operator lists addresses. */
function showAuthorizations({ actions, authorization, applicationAvailable }) {
  byId("by-application").hidden = !applicationAvailable && authorization !== "application";
  for (const each of authorizations) {
    const offered = each.value !== "application" || applicationAvailable;
    each.disabled = !actions.enable || !offered;
    if (!actions.enable) each.checked = each.value === authorization;
    else if (!offered && each.checked) authorizations[0].checked = true;
  }
}

function refresh() {
  if (!settings) return;
  const { actions } = settings;
  const valid = isAddress(from.value);
  buttons.enable.disabled = busy || !actions.enable || !valid;
  buttons.save.disabled = busy || !actions.save || !valid || !(edited(stored()) || askAgain.checked);
  buttons.sendTestMail.disabled = busy || !actions.sendTestMail;
  buttons.reset.disabled = busy || !actions.reset;
  buttons.enable.textContent = settings.status === "reconnect_needed" ? "Consent again" : "Enable";
  buttons.save.classList.toggle("primary", actions.save && !actions.enable);
  // Of two submit buttons, Enter presses the first, even if it is disabled.
  buttons.enable.type = actions.enable ? "submit" : "button";
  // A consent is possible here but rarely helps, because someone else must act.
  const elsewhere = ["operator_error", "sender_refused"].includes(settings.status);
  buttons.enable.classList.toggle("primary", actions.enable && !elsewhere);
  showHints(valid);
}

function showHints(valid) {
  const { locked } = settings.largeFileAttachments;
  byId("large-hint").textContent = locked ? LARGE_LOCKED : large.checked ? LARGE_ON : LARGE_OFF;
  const note = byId("from-note");
  const moved = settings.fromEmailAddress && from.value.trim() !== settings.fromEmailAddress;
  note.hidden = !moved;
  note.textContent = moved ? `Mail is sent from ${settings.fromEmailAddress} until the consent for the new address is complete.` : "";
  if (valid) showWrong(false);
}

function showWrong(wrong) {
  byId("from-error").hidden = !wrong;
  from.setAttribute("aria-invalid", String(wrong));
}

from.addEventListener("input", refresh);
large.addEventListener("change", refresh);
askAgain.addEventListener("change", refresh);
// Checked only when the field loses the focus: an address is incomplete while it is typed.
from.addEventListener("blur", () => showWrong(from.value.trim() !== "" && !isAddress(from.value)));
// Enter presses the submit button; while that is disabled, only the error is shown.
from.addEventListener("keydown", (event) => {
  if (event.key === "Enter") showWrong(!isAddress(from.value));
});
