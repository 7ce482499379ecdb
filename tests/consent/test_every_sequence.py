"""Two admins, Microsoft and time in any order: every state is explained."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from shared.api import consent, settings
from shared.api.request import Response
from shared.caller import Caller
from shared.consent.cookie import NAME
from shared.consent.errors import EntraUnavailableError
from shared.consent.maintenance import delete_orphaned_tokens, maintain_consents
from shared.consent.other_account import delete_abandoned
from shared.errors import (
    ConfigurationError,
    ConflictError,
    ConsentRequiredError,
    PreconditionFailedError,
    ProblemError,
    TransientError,
)
from shared.settings.sender import apply_sender_list, sender_of, with_sender_list
from shared.settings.state import check_enable, check_save
from shared.settings.tenant import Account, RequestedSender, Status, TenantSettings
from shared.settings.update import record_sender_failure
from tests.api_client import (
    Window,
    a_request,
    call,
    content,
    decide,
    form_token,
    post_ticket,
    read_settings,
    with_redirect,
)
from tests.builders import list_senders
from tests.fakes import CONTOSO, FakeServices

ADDRESSES = st.sampled_from(["ada@contoso.com", "uma@contoso.com", "finance@contoso.com"])
ADA = Caller(CONTOSO, "ada-id", "ada@contoso.com")
ADMINS = st.sampled_from([Caller(CONTOSO, f"{name}-id", f"{name}@contoso.com") for name in ("ada", "uma")])
ACCOUNTS = st.sampled_from([Account(f"{name}-id", CONTOSO, f"{name}@contoso.com") for name in ("ada", "uma")])
SENDERS = st.sampled_from([(), ("finance@contoso.com",), ("Ada@Contoso.com", "finance@contoso.com")])
WAYS = st.sampled_from(["delegated", "application"])
GRANTS = st.sampled_from([None, frozenset({"Mail.Send"}), frozenset({"Mail.Send", "Mail.Send.Shared"})])
REPLIES = st.sampled_from(
    [{}, {}, {}, {"error": "access_denied"}, {"error": "server_error"}, {"state": "forged.state"}]
)
DECISIONS = st.sampled_from(["continue", "refuse", None])
REFUSALS = st.sampled_from(
    [
        ConsentRequiredError("consent_lost", account="ada@contoso.com", error="AADSTS50173"),
        ConsentRequiredError("sign_in_blocked", error="AADSTS53003"),
        ConfigurationError("client_credential_refused", error="AADSTS7000222"),
        EntraUnavailableError(),
    ]
)


class ConsentStateMachine(RuleBasedStateMachine):
    """One tenant, two admins with a page each, any number of consent windows."""

    @initialize(configured=st.booleans())
    def begin(self, configured: bool) -> None:  # noqa: FBT001 - hypothesis passes by name
        self.ports = FakeServices()
        self.seen: dict[str, str] = {}
        self.windows: list[Window] = []
        self.last_version = 0
        self.vault_was_away = False
        if configured:
            self.enable_and_consent(ADA, "ada@contoso.com", False, "delegated")
            assert self.ports.settings.load(CONTOSO).status is Status.ENABLED

    # What admins do

    @rule(admin=ADMINS)
    def look(self, admin: Caller) -> None:
        self.seen[admin.object_id] = call(settings.read, self.ports, caller=admin).headers["ETag"]

    @rule(admin=ADMINS, address=ADDRESSES, large=st.booleans(), way=WAYS, blind=st.booleans())
    def enable(self, admin: Caller, address: str, large: bool, way: str, blind: bool) -> None:  # noqa: FBT001 - hypothesis passes by name
        body = {"fromEmailAddress": address, "largeFileAttachments": large, "authorization": way}
        self._press(settings.enable, admin, body, blind=blind)

    @rule(admin=ADMINS, address=ADDRESSES, large=st.booleans(), blind=st.booleans())
    def save(self, admin: Caller, address: str, large: bool, blind: bool) -> None:  # noqa: FBT001 - hypothesis passes by name
        body = {"fromEmailAddress": address, "largeFileAttachments": large}
        self._press(settings.save, admin, body, blind=blind)

    @rule(admin=ADMINS)
    def reset(self, admin: Caller) -> None:
        call(settings.reset_settings, self.ports, caller=admin)

        view = read_settings(self.ports)
        assert (view["status"], view["fromEmailAddress"]) == ("not_configured", None)
        assert view["pendingConsent"] is None

    @rule(admin=ADMINS)
    def check(self, admin: Caller) -> None:
        view = content(call(consent.check, self.ports, caller=admin))
        assert all(check["detail"] for check in view["checks"])

    @rule(admin=ADMINS, address=ADDRESSES, large=st.booleans(), way=WAYS)
    def enable_and_consent(self, admin: Caller, address: str, large: bool, way: str) -> None:  # noqa: FBT001 - hypothesis passes by name
        self.enable(admin, address, large, way, blind=True)
        if self.windows:
            self._return_to_app(
                self.windows[-1], Account(admin.object_id, CONTOSO, admin.name), {}, granted=None
            )

    # What the window does

    @precondition(lambda self: self.windows)
    @rule(turn=st.integers(1, 3))
    def a_link_is_opened(self, turn: int) -> None:
        place = -min(turn, len(self.windows))
        self.windows[place] = self._opened(self.windows[place])

    @precondition(lambda self: self.windows)
    @rule(account=ACCOUNTS, decision=DECISIONS)
    def somebody_consents_to_the_newest(self, account: Account, decision: str | None) -> None:
        self._return_to_app(self.windows[-1], account, {}, granted=None, decision=decision)

    @precondition(lambda self: self.windows)
    @rule(turn=st.integers(1, 3), account=ACCOUNTS, reply=REPLIES, granted=GRANTS)
    def microsoft_responds(
        self, turn: int, account: Account, reply: dict[str, str], granted: frozenset[str] | None
    ) -> None:
        before = self.ports.settings.load(CONTOSO)

        self._return_to_app(self.windows[-min(turn, len(self.windows))], account, reply, granted)

        if reply:
            assert _sending_settings(self.ports.settings.load(CONTOSO)) == _sending_settings(before)

    @precondition(lambda self: self.windows)
    @rule(account=ACCOUNTS)
    def another_browser_responds(self, account: Account) -> None:
        before = self.ports.settings.load(CONTOSO)
        window = self._opened(self.windows[-1])
        if window.state:
            self._return_to_app(replace(window, cookie="another-browser"), account, {}, granted=None)

        assert _sending_settings(self.ports.settings.load(CONTOSO)) == _sending_settings(before)

    # What the world does

    @rule(senders=SENDERS)
    def the_operator_lists_other_senders(self, senders: tuple[str, ...]) -> None:
        list_senders(self.ports, *senders)

    @rule(
        wait=st.sampled_from(
            [timedelta(minutes=1), timedelta(minutes=10), timedelta(days=1), timedelta(days=8)]
        )
    )
    def time_passes(self, wait: timedelta) -> None:
        self.ports.system.pass_time(wait)

    @rule(error=REFUSALS)
    def entra_refuses_next(self, error: ProblemError) -> None:
        self.ports.authorizer.fail = [error]

    @rule()
    def the_vault_is_unavailable_next(self) -> None:
        self.ports.vault.fail = [TransientError("key_vault_unavailable")]
        self.vault_was_away = True

    @rule()
    def the_response_to_the_next_write_is_lost(self) -> None:
        self.ports.settings.lost = [PreconditionFailedError("settings_changed")]

    @rule()
    def a_mail_is_sent(self) -> None:
        senders = self.ports.application_senders
        found = self.ports.settings.load(CONTOSO)
        found = apply_sender_list(found, senders, self.ports.settings, self.ports.system)
        try:
            sender = sender_of(found, senders)
        except ProblemError:
            assert found.status is not Status.ENABLED
            return
        assert found.status is Status.ENABLED
        assert sender.mailbox == "me" or sender.address.casefold() in map(str.casefold, senders)
        try:
            self.ports.tokens.get(CONTOSO, sender.consent, fresh=True)
        except (ConsentRequiredError, ConfigurationError) as error:
            record_sender_failure(
                self.ports.settings, CONTOSO, sender.consent.version, error, self.ports.system
            )
        except TransientError:
            assert self.ports.settings.load(CONTOSO).status is Status.ENABLED

    @rule()
    def a_day_ends(self) -> None:
        delete_abandoned(self.ports)
        maintain_consents(self.ports)

    @precondition(lambda self: not self.ports.vault.fail)
    @rule()
    def the_vault_is_cleaned(self) -> None:
        delete_orphaned_tokens(CONTOSO, self.ports.vault.names(), self.ports)

        found = self.ports.settings.load(CONTOSO)
        in_use = {found.consent.secret_name} if found.consent else set()
        under_way = {f"smtp-{CONTOSO}-{found.pending.version}"} if found.pending else set()
        assert set(self.ports.vault.secrets) <= in_use | under_way
        self.vault_was_away = False

    # What always holds

    @invariant()
    def the_page_can_explain_it(self) -> None:
        view = read_settings(self.ports)
        configured = view["status"] != "not_configured"
        assert (view["fromEmailAddress"] is not None) is configured
        assert (view["consentedBy"] is not None) is (configured and view["authorization"] == "delegated")
        assert (view["remainsAfterReset"] is not None) is configured
        assert view["applicationAvailable"] is bool(self.ports.application_senders)
        assert bool(view["permissions"]) is configured
        assert (view["problem"] is not None) is (view["status"] in {"reconnect_needed", "operator_error"})
        if view["problem"]:
            assert view["problem"]["detail"]
            assert view["problem"]["whoActs"] != "nobody"
        assert view["largeFileAttachments"]["locked"] is view["largeFileAttachments"]["enabled"]
        assert view["actions"]["enable"] or view["actions"]["save"]

    @invariant()
    def the_buttons_match_the_settings(self) -> None:
        senders = self.ports.application_senders
        found = with_sender_list(self.ports.settings.load(CONTOSO), senders, self.ports.system.now())
        actions = read_settings(self.ports)["actions"]
        wanted = RequestedSender("new@contoso.com", large_file_attachments=True)
        assert actions["enable"] is _allowed(lambda: check_enable(found, wanted))
        assert actions["save"] is _allowed(lambda: check_save(found, wanted))
        assert actions["sendTestMail"] is _allowed(lambda: sender_of(found, senders))

    @invariant()
    def every_consent_has_a_status(self) -> None:
        for flow_id in self.ports.flows.flows:
            view = content(call(consent.read_flow, self.ports, route={"flow_id": flow_id}))
            ended_badly = view["status"] in {"declined", "failed", "expired"}
            assert (view["problem"] is not None) is ended_badly
        pending = read_settings(self.ports)["pendingConsent"]
        assert pending is None or pending["flowId"] in self.ports.flows.flows

    @invariant()
    def no_tokens_are_lost_or_restored(self) -> None:
        found = self.ports.settings.load(CONTOSO)
        current = {found.consent.secret_name} - {None} if found.consent else set()
        assert current <= set(self.ports.vault.secrets)
        unconfirmed = {s.consent.secret_name for s in self.ports.flows.secrets.values() if s.consent}
        assert not current & unconfirmed
        if not self.vault_was_away:
            assert set(self.ports.vault.secrets) <= current | unconfirmed

    @invariant()
    def no_generation_is_used_twice(self) -> None:
        now = self.ports.settings.load(CONTOSO).last_version
        assert now >= self.last_version
        self.last_version = now

    def _press(self, operation: Any, admin: Caller, body: dict[str, Any], *, blind: bool) -> None:
        """Press a button on a page that can be stale; a refusal changes nothing."""
        headers = {} if blind else {"if-match": self.seen.get(admin.object_id, "*")}
        before = self.ports.settings.load(CONTOSO)
        try:
            reply: Response = call(operation, self.ports, body, caller=admin, headers=headers)
        except (ConflictError, PreconditionFailedError):
            assert self.ports.settings.load(CONTOSO) == before
            return
        after = self.ports.settings.load(CONTOSO)
        assert _sending_settings(after) == _sending_settings(before)
        started = content(reply)
        if started["flowId"] is None:
            assert after.pending is None
            return
        self.windows.append(Window(started["flowId"], started["startUrl"]))

    def _opened(self, window: Window) -> Window:
        if window.state:
            return window
        reply = post_ticket(window, self.ports)
        return with_redirect(window, reply) if "Set-Cookie" in reply.headers else window

    def _return_to_app(
        self,
        window: Window,
        account: Account,
        reply: dict[str, str],
        granted: frozenset[str] | None,
        decision: str | None = None,
    ) -> None:
        """Complete Microsoft's pages and return, unless the link is invalid."""
        window = self._opened(window)
        if not window.state:
            return
        entra = self.ports.authorizer
        entra.account, entra.granted = account, granted
        entra.roles = frozenset({"Mail.Send", "Mail.ReadWrite"}) if granted is None else granted
        before = self.ports.settings.load(CONTOSO)
        response = self._send_callback(window, reply)
        if response.status == 200:
            assert _sending_settings(self.ports.settings.load(CONTOSO)) == _sending_settings(before)
            if decision is None:
                return
            response = decide(window, self.ports, decision, form_token(response))
        assert response.status == 303

    def _send_callback(self, window: Window, reply: dict[str, str]) -> Response:
        if "adminconsent" not in window.address:
            return consent.finish(
                window.callback_request(**({"code": ""} if reply else {}), **reply), self.ports
            )
        query = {"state": window.state, "admin_consent": "True", **reply}
        headers = {"cookie": f"{NAME}={window.cookie}"}
        return consent.finish_admin_consent(a_request(query=query, headers=headers), self.ports)


def _sending_settings(found: TenantSettings) -> tuple[object, ...]:
    return found.sender, found.consent, found.status


def _allowed(check: Callable[[], object]) -> bool:
    try:
        check()
    except ProblemError:
        return False
    return True


TestEverySequence = ConsentStateMachine.TestCase
TestEverySequence.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
