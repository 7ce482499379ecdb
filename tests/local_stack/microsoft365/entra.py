"""Entra over HTTP: discovery, keys, sign-in pages, token endpoint.

Not imitated:

* Passwords, multi-factor steps, *Stay signed in*, home-realm discovery and redirects to federated providers.
* Conditional Access, risk and sign-in frequency, but for the numbers that a user or a fault is given.
* Continuous access evaluation, but for `behaviour.wanted_claims`; encrypted access tokens.
* A code that is used up by a failed redemption may be good for another try at the real service, or not:
  which failures use it up is not published. Here all but those of the client's own proof do.
* Key roll-over: there is one signing key. Throttling is off unless
  `behaviour.token_requests_a_minute` is set.
* Incremental limits of the consent pages: the publisher's verification, the admin consent workflow's mails.
* `response_mode=fragment`, `id_token` response types, the device code and on-behalf-of flows, v1 endpoints.
* Replication: off unless `behaviour.consent_lag`, `app_lag` or `stale_for` is set.
"""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from .aadsts import Refused, error_body
from .clock import Clock
from .directory import Directory, User
from .faults import Effect
from .gate import Caller, write_body
from .pages import account_page, approval_page, consent_page, error_page, posting_page, requested_page
from .sign_in import AuthorizationRequest
from .throttle import WAIT, TooManyRequests
from .token_endpoint import TokenEndpoint
from .tokens import Tokens
from .visit import Response, Visit, shown_permissions

_PAGE_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store, no-cache",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Content-Type-Options": "nosniff",
}
_SESSION = "ESTSAUTHPERSISTENT"
#: Ties a visit to the browser that began it.
_BROWSER = "esctx"


class Entra:
    """The sign-in host."""

    name = "entra"

    def __init__(
        self,
        directory: Directory,
        tokens: Tokens,
        sign_in: AuthorizationRequest,
        endpoint: TokenEndpoint,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._tokens = tokens
        self._sign_in = sign_in
        self._endpoint = endpoint
        self._clock = clock
        self._sessions: dict[str, str] = {}
        self._browsers: dict[str, str] = {}
        self.operations: dict[tuple[str, str], str] = {}

    def add_routes(self, app: web.Application) -> None:
        """Register every path under `/{tenant}/`."""
        self._add(app, "GET", "/{tenant}/v2.0/.well-known/openid-configuration", "discovery", self.discovery)
        self._add(app, "GET", "/{tenant}/discovery/v2.0/keys", "keys", self.keys)
        self._add(app, "GET", "/{tenant}/oauth2/v2.0/authorize", "authorize", self.authorize)
        self._add(app, "POST", "/{tenant}/oauth2/v2.0/authorize", "pageDecision", self.submit_form)
        self._add(app, "GET", "/{tenant}/v2.0/adminconsent", "adminconsent", self.admin_consent)
        self._add(app, "POST", "/{tenant}/oauth2/v2.0/token", "token", self.token)

    def _add(
        self,
        app: web.Application,
        method: str,
        path: str,
        operation: str,
        handler: Callable[[web.Request], Awaitable[web.Response]],
    ) -> None:
        app.router.add_route(method, path, handler)
        self.operations[method, path] = operation

    async def caller(self, request: web.Request) -> Caller:
        """Name the grant and, for a refresh token, its mailbox."""
        if self.operations.get((request.method, _path(request))) != "token":
            return Caller()
        form = await _form(request)
        return Caller(mailbox=self._endpoint.subject(form), detail=form.get("grant_type", ""))

    def latency(self) -> float:
        """No delay of its own."""
        return 0.0

    def error(self, request: web.Request, effect: Effect) -> web.Response:
        """Write a fault as Entra writes errors."""
        now = self._clock.now()
        if effect.aadsts:
            refusal = Refused(effect.aadsts, error=effect.code, suberror=effect.suberror)
            return web.json_response(refusal.body(now), status=effect.status or refusal.status)
        error = effect.code or ("server_error" if effect.status >= 500 else "invalid_request")
        whole = error_body(error, effect.message, 90033, effect.suberror or "", now)
        text, kind = write_body(effect, whole, whole)
        return web.Response(status=effect.status, text=text, content_type=kind)

    async def discovery(self, request: web.Request) -> web.Response:
        """Describe a tenant's endpoints."""
        name = request.match_info["tenant"]
        tenant = self._directory.tenant(name)
        if tenant is None and name not in {"common", "organizations"}:
            return web.json_response(Refused(90002, f"'{name}'").body(self._clock.now()), status=400)
        issuer = self._tokens.issuer(tenant.tenant_id if tenant else "{tenantid}")
        return web.json_response(_metadata(f"{self._tokens.authority}/{name}", issuer))

    async def keys(self, request: web.Request) -> web.Response:
        """List the public keys."""
        return web.json_response({"keys": [self._tokens.key.jwk()]})

    async def token(self, request: web.Request) -> web.Response:
        """Respond to a token request."""
        form = await _form(request)
        headers = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}
        try:
            document = self._endpoint.token_response(
                request.match_info["tenant"], form, request.headers.get("Authorization", "")
            )
        except TooManyRequests:
            wait = str(int(WAIT.total_seconds()))
            return web.Response(status=429, text="Too Many Requests", headers={"Retry-After": wait})
        except Refused as refusal:
            body = refusal.body(self._clock.now(), request.headers.get("client-request-id", ""))
            return web.json_response(body, status=refusal.status, headers=headers)
        return web.json_response(document, headers=headers)

    async def authorize(self, request: web.Request) -> web.Response:
        """Begin a sign-in for a code."""
        try:
            visit = self._sign_in.begin(request.match_info["tenant"], request.query)
        except Refused as refusal:
            return self._refusal_page(refusal)
        session = self._session(request, visit)
        if reply := self._sign_in.problem(visit, session):
            return _redirect_to_app(reply)
        if session is not None and visit.prompt in {"", "none", "consent"}:
            return self._bound(request, visit, self._chosen(visit, session.object_id))
        return self._bound(request, visit, self._next(visit))

    async def admin_consent(self, request: web.Request) -> web.Response:
        """Begin a consent for the whole organisation."""
        try:
            visit = self._sign_in.begin_admin_consent(request.match_info["tenant"], request.query)
        except Refused as refusal:
            return self._refusal_page(refusal)
        return self._bound(request, visit, self._next(visit))

    def _bound(self, request: web.Request, visit: Visit, response: web.Response) -> web.Response:
        """Bind a visit to this browser, so that no other one can submit its pages."""
        browser = request.cookies.get(_BROWSER) or str(uuid.uuid4())
        self._browsers[visit.visit_id] = browser
        response.set_cookie(_BROWSER, browser, secure=True, httponly=True, samesite="None", path="/")
        return response

    async def submit_form(self, request: web.Request) -> web.Response:
        """Handle a form of a page: account, Accept, Cancel or approval request."""
        form = await _form(request)
        visit = self._sign_in.find(form.get("visit", ""))
        if visit is None or self._browsers.get(visit.visit_id) != request.cookies.get(_BROWSER):
            return self._refusal_page(Refused(50089))
        if form.get("account"):
            return self._chosen(visit, form["account"])
        step, decision = self._sign_in.step(visit), form.get("decision", "")
        if step == "consent" and decision == "accept":
            return _redirect_to_app(self._sign_in.accept(visit, for_everybody=form.get("everybody") == "yes"))
        if step == "consent" and decision == "cancel":
            return _redirect_to_app(self._sign_in.decline(visit))
        return self._after_approval_page(visit, decision) if step == "approval" else self._next(visit)

    def _after_approval_page(self, visit: Visit, decision: str) -> web.Response:
        if decision == "return" and self._sign_in.approval_can_return(visit):
            return _redirect_to_app(self._sign_in.return_without_consent(visit))
        return _page(requested_page()) if decision == "request" else self._next(visit)

    def _chosen(self, visit: Visit, account: str) -> web.Response:
        try:
            visit = self._sign_in.choose(visit, account)
        except Refused as refusal:
            return self._refusal_page(refusal)
        response = self._next(visit)
        if visit.user is not None:
            session = str(uuid.uuid4())
            self._sessions[session] = visit.user.object_id
            response.set_cookie(_SESSION, session, secure=True, httponly=True, samesite="None", path="/")
        return response

    def _next(self, visit: Visit) -> web.Response:
        # One path takes the forms of all pages, whichever request began the visit.
        action = f"/{visit.tenant_name}/oauth2/v2.0/authorize"
        step, user = self._sign_in.step(visit), visit.user
        if step == "choose" or user is None:
            return _page(account_page(visit, self._people(visit), action))
        if step == "done":
            return _redirect_to_app(self._sign_in.finish(visit))
        if step == "approval":
            can_return = self._sign_in.approval_can_return(visit)
            return _page(approval_page(visit, user, action, can_return=can_return))
        return _page(
            consent_page(visit, user, shown_permissions(visit, self._sign_in.missing(visit)), action)
        )

    def _people(self, visit: Visit) -> list[User]:
        tenant = self._directory.tenant(visit.tenant_name) or self._directory.tenant(visit.app.tenant_id)
        return self._directory.people(tenant.tenant_id) if tenant else []

    def _session(self, request: web.Request, visit: Visit) -> User | None:
        user = self._directory.user(self._sessions.get(request.cookies.get(_SESSION, ""), "-"))
        tenant = self._directory.tenant(visit.tenant_name)
        fits = user is not None and (tenant is None or tenant.tenant_id == user.tenant_id)
        hinted = user is not None and visit.login_hint.lower() in {"", user.signs_in_as.lower()}
        return user if fits and hinted and user is not None and user.enabled else None

    def _refusal_page(self, refusal: Refused) -> web.Response:
        stamp = f"{self._clock.now():%Y-%m-%dT%H:%M:%SZ}"
        return _page(error_page(refusal.message, str(uuid.uuid4()), stamp), status=400)


def _page(text: str, status: int = 200) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/html", headers=_PAGE_HEADERS)


def _redirect_to_app(reply: Response) -> web.Response:
    if reply.mode == "form_post":
        return _page(posting_page(reply))
    return web.Response(status=302, headers=_PAGE_HEADERS | {"Location": reply.url})


def _path(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else ""


async def _form(request: web.Request) -> dict[str, str]:
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}


def _metadata(root: str, issuer: str) -> dict[str, Any]:
    return {
        "token_endpoint": f"{root}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": [
            "client_secret_post",
            "private_key_jwt",
            "client_secret_basic",
        ],
        "jwks_uri": f"{root}/discovery/v2.0/keys",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": issuer,
        "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
        "code_challenge_methods_supported": ["plain", "S256"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "name", "tid", "ver"],
    }
