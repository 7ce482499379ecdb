// The problem panels: the problem, who must act, and the ids to report.

import { byId, element } from "./element.js";
import { moment, WHO_ACTS } from "./words.js";

const shown = new Map();

/** Show a problem in a place, or remove the one shown there (null). */
export function showProblem(place, problem, onDismiss) {
  const text = JSON.stringify(problem);
  if ((shown.get(place)?.text ?? "null") === text) return;
  shown.get(place)?.panel.remove();
  shown.delete(place);
  if (!problem) return;
  const panel = build(problem, onDismiss);
  shown.set(place, { text, panel });
  // The alert role makes a screen reader announce the panel; the newest is at the top.
  byId("problems").prepend(panel);
}

/** Describe a pause of sending as the panels show it; null while mail is sent. */
export function pauseProblem(pause) {
  if (!pause) return null;
  const reason = pause.reason ? ` (${pause.reason})` : "";
  return {
    code: "sending_paused",
    title: "Sending is paused",
    detail: `The operator paused sending for the whole installation${reason}. Mail waits until sending is resumed.`,
    whoActs: "operator",
    since: pause.since,
  };
}

function build(problem, onDismiss) {
  const panel = element(
    "section",
    { className: onDismiss ? "problem passing" : "problem", attributes: { role: "alert", "data-code": problem.code } },
    element("h2", { text: problem.title }),
    element("p", { text: problem.detail }),
  );
  if (problem.errors?.length) panel.append(fieldList(problem.errors));
  if (problem.link) panel.append(element("p", {}, outside(problem.link)));
  panel.append(facts(problem));
  if (onDismiss) {
    panel.append(
      element("button", {
        className: "quiet dismiss",
        text: "Dismiss",
        attributes: { type: "button", "aria-label": `Dismiss: ${problem.title}` },
        onClick: onDismiss,
      }),
    );
  }
  return panel;
}

function outside(address) {
  return element("a", { text: address, attributes: { href: address, target: "_blank", rel: "noopener" } });
}

function fieldList(errors) {
  const lines = errors.map((each) => element("li", { text: `${each.field}: ${each.message}` }));
  return element("ul", {}, ...lines);
}

function facts(problem) {
  const list = element("dl", { className: "problem-facts" });
  const rows = [
    ["Who must act", WHO_ACTS[problem.whoActs] ?? problem.whoActs],
    ["Code", problem.code],
    ["Since", problem.since && moment(problem.since)],
    ["Microsoft's correlation id", problem.correlationId],
    ["Trace id", problem.traceId],
  ];
  for (const [name, value] of rows) {
    if (!value) continue;
    list.append(element("div", {}, element("dt", { text: name }), element("dd", { text: value })));
  }
  return list;
}
