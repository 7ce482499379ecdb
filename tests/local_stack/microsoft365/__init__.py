"""Serve a local Microsoft 365: Entra, Graph mail and upload host.

It behaves as Microsoft documents it and as its users report it, failures included. Three hosts share one
state:

    world = Microsoft365()
    with serve(world.entra_app(), tls) as entra, serve(world.graph_app(), tls) as graph, ...:
        world.at(entra=entra.url, graph=graph.url, outlook=outlook.url)

Where Microsoft's behaviour varies or is not published, `behaviour` has a switch. Faults are set on `faults`,
time is moved on `clock`, people and rights are changed on `directory`, and `mails()` lists what was accepted
for delivery.

What is imitated, and what is not. Names in backticks are switches of `behaviour` (behaviour.py), "effects"
are for `faults.add` and `/_control/faults` (faults.py); a test compares the switches with this table.

trait                 | official or reported                     | here
----------------------|------------------------------------------|-------------------------------------------
context of responses  | on sessions and chunks too               | so
message on 201        | dates, conversationId, webLink, Location | so; body as it came, not rewritten
chunk response        | `ExpirationDateTime` in mixed case       | `pascal_case`, `next_range`
upload chunks         | in order, below 4 MB; multiples of       | `chunk_limit`, `range_status`; any length
                      | 320 KiB are a rule of OneDrive's         | up to it
upload session        | expires; use does not prolong it         | `session_lifetime`
file sizes            | documented 3 MB; POST to 3,145,611 bytes | `largest_post`, `smallest_session`: the
                      | and session from 2 MiB measured          | narrower one of both figures each
files of a message    | 250                                      | 400, its code is not published
subject               | Exchange's store keeps 255 characters    | `long_subject`: cut, kept or refused
request size          | 4 MB                                     | 413; `wall`
size, quota responses | status not published                     | `too_large_status`, `quota_status`
requests at a time    | 4 for an app and mailbox                 | `in_flight_limit`, `in_flight_retry_after`
calls                 | 10,000 in 10 minutes                     | `calls_limit`, `calls_window`
uploads               | 150 MB in 5 minutes                      | off; `upload_limit`, `upload_window`
mails                 | 30 a minute, for SMTP submission         | off; `mails_limit`, `mails_window`
error codes           | Error… and camel case, general or nested | each by its name, vocabulary.py
error bodies          | JSON, HTML, empty                        | any effect with `body`
402, 409, 410, 423 …  | documented                               | effects "HTTP 402" and so on
look-up by property   | 504 UnknownError in large mailboxes      | `large_mailbox`
mail on its way       | saved in Drafts first, isDraft           | so; `transit_folder` for the Outbox
copy in Sent Items    | once transport has the mail              | `sent_items_lag`
mail without a copy   | in Drafts on its way, then nowhere       | so
new draft, session    | 404 for a moment, replica lag            | `replica_lag`
draft just sent       | GET may not succeed immediately          | `replica_lag`; lists have it at once
refused sendMail      | not published what stays in Drafts       | nothing stays
202 with Retry-After  | reported; the mail is taken              | effect "accepted with Retry-After"
permanentDelete       | in the global cloud alone                | `permanent_delete`
second send of a draft| not published                            | `resend_in_transit`
lists                 | pages of any length, also empty ones     | `longest_page`
responses             | take their time                          | `latency`, effect "slow"
refused, mail taken   | 504, 500, lost responses                 | any effect with `accepted`
429, mail taken       | reported                                 | effect "throttled but accepted"
429 page, mail taken  | reported                                 | effect "throttled page but accepted"
429 at once, taken    | reported                                 | effect "too many at once but accepted"
503, mail taken       | reported                                 | effect "busy but accepted"
503 page, mail taken  | reported                                 | effect "busy page but accepted"
claims challenge      | 401 by continuous access evaluation, 403 | `wanted_claims`, `wanted_claims_status`,
                      | insufficient_claims: conditional access  | `claims_problem`; "conditional access"
rights and roles      | count at Graph after up to an hour: 403  | `rights_lag`
RBAC for Applications | changes count after 30 minutes to 2 hours| `rights_lag`
access policies       | changes can take longer than an hour     | `rights_lag`
consent in tokens     | after seconds to an hour                 | `consent_lag`, `app_lag`
declined consent      | with or without a description            | `decline_description`
granted permissions   | may be fewer than requested              | `withheld_scopes`
/adminconsent's tenant| is not signed                            | `forged_tenant`
ID token              | claims vary                              | `id_token`
`email` in tokens     | optional claim; always for guests        | set on each app registration
names of an account   | id, sign-in name, address, aliases, guest| kept apart in the directory
users/{...} in paths  | id or sign-in name, no address           | 404 for any other name
Entra's throttling    | 429 as text with Retry-After 60; 50196   | `token_requests_a_minute`
enterprise app        | an admin may remove it: 700016           | removed by /_control/apps
new credentials       | refused for seconds to minutes           | effect "secret expired"
account made again    | another object id; the old one is 404    | so, by the directory
servers of Entra      | learn of a grant at different times      | `stale_for`
roles in app tokens   | old ones for a while                     | `consent_lag`, `stale_for`
Graph's access token  | opaque to clients                        | a JWT, or not: `opaque_tokens`
"""

from typing import Any

from aiohttp import web

from .accepted_mail import AcceptedMail
from .access import AccessRules
from .behaviour import Behaviour
from .client_proof import ClientProof
from .clock import Clock
from .consents import EVERYBODY, Consents
from .contoso import CLIENT_ID, contoso
from .control import Control
from .directory import Directory, User
from .entra import Entra
from .faults import FAULT_EFFECTS, Effect, Faults
from .gate import Gate, GatedHost
from .grants import Grants
from .graph import Graph
from .inbox import Inbox
from .mail import Attachment, Message
from .mail_calls import MailCalls
from .mailboxes import Mailboxes
from .outlook import Outlook
from .quotas import Quotas
from .request_log import RequestLog
from .scopes import GRAPH, Scope
from .sign_in import AuthorizationRequest
from .throttle import Throttle
from .token_endpoint import TokenEndpoint
from .tokens import SigningKey, Tokens
from .uploads import Uploads

__all__ = ["FAULT_EFFECTS", "AcceptedMail", "Attachment", "Directory", "Effect", "Message", "Microsoft365"]


class Microsoft365:
    """The whole emulator; safe to use from any thread.

    Attributes:
        directory: people, mailboxes, rights, app registrations.
        consents: what was agreed to.
        behaviour: switches for what varies.
        faults: the faults of the next requests.
        requests: the request log, without tokens.
        clock: the time of Microsoft 365.
        proof: checks client credentials; `proof.trust` adds issuers of federated tokens.
        tokens: signs; `tokens.issued` holds every secret issued, for tests that search for leaks.
    """

    def __init__(self, directory: Directory | None = None, key: SigningKey | None = None) -> None:
        self.directory = directory or contoso()
        self.behaviour = Behaviour()
        self.clock = Clock()
        self.faults = Faults()
        self.requests = RequestLog()
        self.directory.clock = self.clock
        self.consents = Consents(self.clock)
        self.tokens = Tokens(self.clock, key or SigningKey(), self.behaviour)
        self.grants = Grants(self.clock, self.tokens)
        self.proof = ClientProof(self.directory, self.tokens, self.clock)
        self._endpoint = TokenEndpoint(
            self.directory,
            self.consents,
            self.grants,
            self.tokens,
            self.proof,
            self.behaviour,
            Throttle(self.clock, self.behaviour),
        )
        self._sign_in = AuthorizationRequest(
            self.directory, self.consents, self.grants, self.clock, self.behaviour
        )
        self._entra = Entra(self.directory, self.tokens, self._sign_in, self._endpoint, self.clock)
        self.mailboxes = Mailboxes(self.directory, self.clock, self.behaviour)
        self._uploads = Uploads(self.mailboxes, self.clock, self.behaviour)
        rules = AccessRules(self.directory, self.tokens, self.consents, self.behaviour)
        self._calls = MailCalls(rules, self.mailboxes, self._uploads, self.behaviour)
        self._graph = Graph(rules, self._calls, self.clock, self.behaviour)
        self._outlook = Outlook(self._uploads, self.behaviour)
        self._quotas = Quotas(self.clock, self.behaviour)
        self._control = Control(self)
        self._inbox = Inbox(self)

    def at(self, *, entra: str, graph: str, outlook: str) -> None:
        """Set the origins of the three hosts once they are known."""
        self.tokens.authority = entra
        self._endpoint.graph_names = self._sign_in.graph_names = frozenset({graph})
        self._calls.origin = graph
        self._uploads.origin = outlook

    def entra_app(self) -> web.Application:
        """Build the sign-in host."""
        app = self._app(self._entra)
        self._control.add_routes(app)
        self._entra.add_routes(app)
        return app

    def graph_app(self) -> web.Application:
        """Build the Graph host, which shows people the accepted mails at `/`."""
        app = self._app(self._graph)
        self._control.add_routes(app)
        self._inbox.add_routes(app)
        self._graph.add_routes(app)
        return app

    def outlook_app(self) -> web.Application:
        """Build the upload host."""
        app = self._app(self._outlook)
        self._outlook.add_routes(app)
        return app

    def mails(self) -> list[AcceptedMail]:
        """List the accepted mails (202) in order."""
        return self.mailboxes.accepted()

    def drafts(self, address: str) -> list[Message]:
        """List the drafts of a mailbox."""
        return self.mailboxes.list_messages(self.user(address), "drafts")

    def user(self, address: str) -> User:
        """Find a person or shared mailbox; KeyError if there is none."""
        user = self.directory.user(address)
        if user is None:
            raise KeyError(address)
        return user

    def api_token(self, address: str, audience: str = CLIENT_ID, **overrides: Any) -> str:
        """Sign a caller token for the API; overrides as in `Tokens.api_token`."""
        return self.tokens.api_token(self.user(address), audience, **overrides)

    def graph_token(self, address: str, *scopes: str, client_id: str = CLIENT_ID, **claims: Any) -> str:
        """Sign a delegated Graph token directly, without a consent."""
        user = self.user(address)
        named = {"oid": user.object_id, "scp": " ".join(scopes), "idtyp": "user", "upn": user.principal_name}
        return self.tokens.graph_token(user.tenant_id, client_id, **(named | claims))

    def app_only_token(self, tenant_id: str, *roles: str, client_id: str = CLIENT_ID, **claims: Any) -> str:
        """Sign an app-only Graph token directly, without a consent."""
        named: dict[str, Any] = {"oid": client_id, "roles": list(roles) or None, "idtyp": "app"}
        return self.tokens.graph_token(tenant_id, client_id, **(named | claims))

    def grant_consent(self, address: str, *scopes: str, client_id: str = CLIENT_ID) -> None:
        """Grant Graph permissions for a person, or for a tenant by `*@domain`."""
        tenant_id, who = self._consenting(address)
        self.consents.grant(client_id, tenant_id, who, [Scope(GRAPH, name) for name in scopes])

    def revoke_consent(self, address: str, *scopes: str, client_id: str = CLIENT_ID) -> None:
        """Revoke the named Graph permissions, or all."""
        tenant_id, who = self._consenting(address)
        self.consents.revoke(client_id, tenant_id, who, scopes)

    def _consenting(self, address: str) -> tuple[str, str]:
        if not address.startswith("*@"):
            user = self.user(address)
            return user.tenant_id, user.object_id
        tenant = self.directory.tenant(address.removeprefix("*@"))
        if tenant is None:
            raise KeyError(address)
        return tenant.tenant_id, EVERYBODY

    def _app(self, host: GatedHost) -> web.Application:
        gate = Gate(host, self.clock, self.faults, self.requests, self._quotas)
        # Bodies are read in pieces and measured by the hosts themselves.
        return web.Application(middlewares=[gate.middleware()], client_max_size=1024 * 1024)
