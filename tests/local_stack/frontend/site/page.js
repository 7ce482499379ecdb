// The Tenant Settings page: shows what the API returns, and calls it for each action of the admin.

import "./frame.js";
import { api, Problem } from "./api.js";
import { showChecks, summary } from "./checks.js";
import { ConsentWatch, openConsentWindow } from "./consent.js";
import { showConnection, showPending, showStage } from "./connection.js";
import { RETRIABLE, showDeliveries } from "./deliveries.js";
import { byId, element } from "./element.js";
import { pauseProblem, showProblem } from "./problems.js";
import { isAddress, onAction, setBusy, showForm, toEnable, toSave } from "./settings-form.js";
import { count, DELIVERIES, WHO_ACTS } from "./words.js";

const SETTINGS_EVERY_MS = 15_000;
const MAILS_EVERY_MS = 3000;
const MAILS_SHOWN = 10;

const page = { settings: null, etag: null, link: null, readings: 0 };
const watch = new ConsentWatch(api.flow, consentEnded, showStage);

function say(text) {
  byId("news").textContent = text;
}

function dismissable(place, problem) {
  showProblem(place, problem, problem && (() => showProblem(place, null)));
}

/** Read everything; `anew` also fills the form with what is stored. */
async function load({ anew = false } = {}) {
  const reading = ++page.readings;
  try {
    const { settings, etag } = await api.settings();
    // A later request has been made, so this response is out of date.
    if (reading !== page.readings) return;
    Object.assign(page, { settings, etag });
    show(anew);
    showProblem("access", null);
  } catch (error) {
    if (reading !== page.readings) return;
    if (!(error instanceof Problem)) throw error;
    showProblem("access", error.document);
    if (!page.settings) showNothing();
  }
}

function show(anew) {
  const { settings } = page;
  byId("settings").hidden = byId("mails").hidden = false;
  showForm(settings, { anew });
  showConnection(settings);
  showProblem("standing", settings.problem);
  showProblem("pause", pauseProblem(settings.sendingPaused));
  const pending = settings.pendingConsent;
  showPending(pending, page.link?.flowId === pending?.flowId ? page.link?.startUrl : null);
  if (pending && pending.flowId !== watch.flowId) showStage("link_not_opened");
  if (pending) watch.follow(pending.flowId);
  document.body.dataset.status = settings.status;
}

function showNothing() {
  for (const id of ["settings", "examination", "mails"]) byId(id).hidden = true;
  delete document.body.dataset.status;
}

/** Call the API; show an error, and read the settings again (`anew`: into the form). */
async function attempt(action, { anew = false } = {}) {
  setBusy(true);
  dismissable("action", null);
  let done = null;
  try {
    done = await action();
    return done;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    say("");
    dismissable("action", error.document);
    return null;
  } finally {
    await load({ anew: anew && done !== null });
    setBusy(false);
  }
}

async function consent(call, wanted) {
  const opened = openConsentWindow();
  dismissable("consent", null);
  const started = await attempt(async () => {
    const response = await call(wanted, page.etag);
    if (!response.startUrl) return response;
    page.link = opened.blocked ? response : null;
    opened.lead(response.startUrl);
    return response;
  });
  if (!started?.startUrl) {
    opened.close();
    if (started) say("Nothing to change: these settings are in use.");
    return;
  }
  say(
    opened.blocked
      ? "Your browser blocked the consent window. Use the link below."
      : "Microsoft's consent screen was opened in a new window. If you have closed it, press Start again.",
  );
  if (opened.blocked) byId("consent-link").focus();
}

async function consentEnded(flow) {
  page.link = null;
  const completed = flow?.status === "completed";
  // The problem of a failed consent gives the reason.
  dismissable("consent", flow?.problem ?? null);
  await load({ anew: completed });
  const address = page.settings?.recipientsSee ?? page.settings?.fromEmailAddress;
  say(completed ? `Consent complete. Mail is now sent from ${address}.` : "");
  await Promise.all([loadMails(), completed && quietly(async () => showChecks(await api.check()))]);
}

async function check() {
  const examination = await attempt(api.check);
  showChecks(examination);
  if (examination) say(summary(examination));
}

/** Run a background action; if it fails, the next reading of the settings shows the problem once. */
async function quietly(action) {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
  }
}

async function loadMails() {
  if (!page.settings) return;
  await quietly(async () => showDeliveries((await api.deliveries(MAILS_SHOWN)).deliveries, retry));
}

async function retry(messageId) {
  const done = await attempt(() => api.retry(messageId));
  if (done) say("The mail is queued again.");
  await loadMails();
}

/** Retry every mail of a state and a period, page by page. */
async function retryMany(status, since) {
  const wanted = { status, since: new Date(since).toISOString(), continuationToken: null };
  let [retried, refused] = [0, 0];
  do {
    const done = await attempt(() => api.retryMany(wanted));
    if (!done) break;
    const queued = done.results.filter((each) => each.retried).length;
    [retried, refused] = [retried + queued, refused + done.results.length - queued];
    wanted.continuationToken = done.continuationToken;
    const left = refused ? ` ${count(refused, "mail")} cannot be retried now.` : "";
    say(`${retried === 1 ? "1 mail is" : `${retried} mails are`} queued again.${left}`);
  } while (wanted.continuationToken);
  await loadMails();
}

function askWhatToRetry() {
  const dayAgo = new Date(Date.now() - 86_400_000);
  const local = new Date(dayAgo - dayAgo.getTimezoneOffset() * 60_000);
  byId("retry-since").value = local.toISOString().slice(0, 16);
  byId("retry-dialog").showModal();
}

async function reset() {
  watch.stop();
  page.link = null;
  const done = await attempt(() => api.reset(page.etag), { anew: true });
  if (!done) return;
  dismissable("consent", null);
  showChecks(null);
  say("The settings and tokens were removed.");
  byId("from").focus();
}

async function sendTestMail(to) {
  const sent = await attempt(() => api.testMail(to));
  if (!sent) return;
  say("The test mail is queued. Its status is shown under Deliveries.");
  await loadMails();
}

/** Ask before a Reset; show which permissions remain at Microsoft, and who can remove them. */
function askToReset() {
  const remains = page.settings.remainsAfterReset;
  byId("reset-remains").hidden = !remains;
  byId("reset-remains").textContent = remains ? `${remains.detail} Who must act: ${WHO_ACTS[remains.whoActs]}.` : "";
  byId("reset-dialog").showModal();
}

function startAgain() {
  const { pendingConsent, actions } = page.settings;
  const wanted = {
    fromEmailAddress: pendingConsent.fromEmailAddress,
    largeFileAttachments: pendingConsent.largeFileAttachments,
  };
  if (!actions.enable) return consent(api.save, wanted);
  return consent(api.enable, { ...wanted, authorization: toEnable().authorization });
}

onAction("enable", () => consent(api.enable, toEnable()));
onAction("save", () => consent(api.save, toSave()));
onAction("reset", askToReset);
onAction("sendTestMail", () => byId("test-dialog").showModal());
byId("again").addEventListener("click", startAgain);
byId("check").addEventListener("click", check);
byId("refresh").addEventListener("click", loadMails);
byId("retry-many").addEventListener("click", askWhatToRetry);
byId("retry-cancel").addEventListener("click", () => byId("retry-dialog").close("cancel"));
byId("retry-status").append(
  ...[...RETRIABLE].map((status) => element("option", { text: DELIVERIES[status][0], attributes: { value: status } })),
);
byId("form").addEventListener("submit", (event) => event.preventDefault());
byId("test-cancel").addEventListener("click", () => byId("test-dialog").close("cancel"));

byId("reset-dialog").addEventListener("close", ({ target }) => {
  const chosen = target.returnValue;
  target.returnValue = "";
  if (chosen === "reset") reset();
});

byId("test-dialog").addEventListener("close", ({ target }) => {
  const chosen = target.returnValue;
  target.returnValue = "";
  if (chosen === "send") sendTestMail(byId("test-to").value.trim());
});

byId("retry-dialog").addEventListener("close", ({ target }) => {
  const chosen = target.returnValue;
  target.returnValue = "";
  const since = byId("retry-since").value;
  if (chosen === "retry" && since) retryMany(byId("retry-status").value, since);
});

byId("test-dialog").querySelector("form").addEventListener("submit", (event) => {
  const to = byId("test-to");
  const wrong = to.value.trim() !== "" && !isAddress(to.value);
  to.setAttribute("aria-invalid", String(wrong));
  byId("test-wrong").hidden = !wrong;
  if (wrong) event.preventDefault();
});

addEventListener("focus", () => load());
setInterval(() => document.hidden || load(), SETTINGS_EVERY_MS);
setInterval(() => document.hidden || loadMails(), MAILS_EVERY_MS);
await load({ anew: true });
await loadMails();
document.body.dataset.ready = "yes";
