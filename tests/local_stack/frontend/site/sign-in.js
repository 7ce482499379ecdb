// The one module that the real frontend replaces: there MSAL.js signs the admin in and returns the access
// token. Here the fake Microsoft 365 signs a token for the account chosen in the page's header.

import { config } from "./config.js";

const CHOSEN = "signed-in-as";
const KEPT_FOR_MS = 5 * 60 * 1000;
let kept = null;

export const accounts = config.accounts;

export function account() {
  const address = chosen();
  return accounts.find((each) => each.address === address) ?? accounts[0];
}

/** Reload the page as another person, so that nothing the first one saw is left on it. */
export function signInAs(address) {
  try {
    sessionStorage.setItem(CHOSEN, address);
  } catch {
    location.search = new URLSearchParams({ [CHOSEN]: address });
    return;
  }
  location.reload();
}

/** A browser that blocks a site's cookies blocks its storage too; then the choice is in the URL. */
function chosen() {
  try {
    return sessionStorage.getItem(CHOSEN);
  } catch {
    return new URLSearchParams(location.search).get(CHOSEN);
  }
}

export async function accessToken() {
  const { address } = account();
  if (kept?.address === address && Date.now() < kept.until) return kept.token;
  // A text body makes this a simple request: the control API responds to no preflight.
  const response = await fetch(`${config.controlUrl}/_control/api-token`, {
    method: "POST",
    body: JSON.stringify({ address, scope: config.apiScope }),
  });
  const token = (await response.json()).access_token;
  kept = { address, token, until: Date.now() + KEPT_FOR_MS };
  return token;
}
