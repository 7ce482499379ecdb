// The header and the menu that all pages share.

import { config } from "./config.js";
import { byId, element } from "./element.js";
import { account, accounts, signInAs } from "./sign-in.js";

const MENU = [["/", "Home", "home"], ["/settings", "Settings", "cog"]];

export function person(each) {
  return `${each.name} (${each.about})`;
}

function switcher() {
  const select = element("select", { attributes: { id: "account" } });
  for (const each of accounts) {
    select.append(element("option", { text: person(each), attributes: { value: each.address } }));
  }
  select.value = account().address;
  select.addEventListener("change", () => signInAs(select.value));
  return element(
    "div",
    { className: "who" },
    element("label", { text: "Signed in as", attributes: { for: "account" } }),
    select,
  );
}

byId("bar").append(
  element("a", { className: "brand", text: "Inforiver", attributes: { href: "/" } }),
  element("span", { className: "stand-in", text: "Local demo" }),
  element("a", {
    className: "inbox",
    text: "Inbox of the local Microsoft 365",
    attributes: { href: `${config.controlUrl}/`, target: "_blank", rel: "noopener" },
  }),
  switcher(),
);

for (const [path, name, icon] of MENU) {
  const link = element("a", { text: name, attributes: { href: path, "data-icon": icon } });
  if (location.pathname === path) link.setAttribute("aria-current", "page");
  byId("rail").append(link);
}
