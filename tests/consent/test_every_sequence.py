"""Two admins, Microsoft and the clock, in any order: there is no state that the page can't explain."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from shared.consent import journey as consent
from shared.consent.upkeep import keep_all, sweep
from shared.errors import (
    ConfigurationError,
    ConflictError,
    ConsentRequiredError,
    PreconditionFailedError,
    ProblemError,
    TransientError,
)
from shared.settings import journey as settings
from shared.settings.health import note_failure
from shared.settings.sender import sender_of
from shared.settings.state import check_enable, check_save
from shared.settings.tenant import Account, Status, Wanted
from shared.web.caller import Caller
from shared.web.exchange import Reply
from tests.calls import Window, a_request, call, content, open_start, shown, with_answer
from tests.fakes import CONTOSO, FakeServices

ADDRESSES = st.sampled_from(["ada@contoso.com", "uma@contoso.com", "finance@contoso.com"])
ADMINS = st.sampled_from([Caller(CONTOSO, f"{name}-id", f"{name}@contoso.com") for name in ("ada", "uma")])
ACCOUNTS = st.sampled_from([Account(f"{name}-id", CONTOSO, f"{name}@contoso.com") for name in ("ada", "uma")])
WAYS = st.sampled_from(["delegated", "application"])
REPLIES = st.sampled_from(
    [{}, {}, {}, {"error": "access_denied"}, {"error": "server_error"}, {"state": "forged.state"}]
)
REFUSALS = st.sampled_from(
    [
        ConsentRequiredError("consent_lost", account="ada@contoso.com", error="AADSTS50173"),
        ConsentRequiredError("sign_in_blocked", error="AADSTS53003"),
        ConfigurationError("client_credential_refused", error="AADSTS7000222"),
        TransientError("entra_unavailable"),
    ]
)


class Everything(RuleBasedStateMachine):
    """One tenant, two admins with a page each, any number of consent windows."""

    windows = Bundle("windows")

    @initialize()
    def begin(self) -> None:
        self.ports = FakeServices()
        self.seen: dict[str, str] = {}
        self.generations = 0
        self.vault_was_away = False

    # What admins do

    @rule(admin=ADMINS)
    def look(self, admin: Caller) -> None:
        self.seen[admin.object_id] = call(settings.read, self.ports, caller=admin).headers["ETag"]

    @rule(target=windows, admin=ADMINS, address=ADDRESSES, large=st.booleans(), way=WAYS, blind=st.booleans())
    def enable(self, admin: Caller, address: str, large: bool, way: str, blind: bool) -> Window | None:  # noqa: FBT001 - hypothesis passes by name
        body = {"fromEmailAddress": address, "largeFileAttachments": large, "authorization": way}
        return self._ask(settings.enable, admin, body, blind=blind)

    @rule(target=windows, admin=ADMINS, address=ADDRESSES, large=st.booleans(), blind=st.booleans())
    def save(self, admin: Caller, address: str, large: bool, blind: bool) -> Window | None:  # noqa: FBT001 - hypothesis passes by name
        body = {"fromEmailAddress": address, "largeFileAttachments": large}
        return self._ask(settings.save, admin, body, blind=blind)

    @rule(admin=ADMINS)
    def reset(self, admin: Caller) -> None:
        call(settings.reset_settings, self.ports, caller=admin)

        view = shown(self.ports)
        assert (view["status"], view["fromEmailAddress"]) == ("not_configured", None)
        assert view["pendingConsent"] is None

    @rule(admin=ADMINS)
    def check(self, admin: Caller) -> None:
        view = content(call(consent.check, self.ports, caller=admin))
        assert all(check["detail"] for check in view["checks"])

    # What the window does

    @rule(target=windows, window=windows)
    def open_window(self, window: Window | None) -> Window | None:
        if window is None:
            return None
        reply = open_start(window, self.ports)
        return with_answer(window, reply) if reply.status == 302 else window

    @rule(window=windows, account=ACCOUNTS, reply=REPLIES, generous=st.booleans(), foreign=st.booleans())
    def microsoft_answers(
        self,
        window: Window | None,
        account: Account,
        reply: dict[str, str],
        generous: bool,  # noqa: FBT001 - hypothesis passes by name
        foreign: bool,  # noqa: FBT001 - hypothesis passes by name
    ) -> None:
        if window is None or not window.state:
            return
        before = self.ports.settings.load(CONTOSO)
        self.ports.authorizer.account = account
        self.ports.authorizer.granted = None if generous else frozenset({"Mail.Send"})
        self.ports.authorizer.roles = frozenset(
            {"Mail.Send", "Mail.ReadWrite"} if generous else {"Mail.Send"}
        )
        held = replace(window, cookie="another-browser") if foreign else window
        answer = self._answer(held, reply)

        assert answer.status == 303
        after = self.ports.settings.load(CONTOSO)
        if foreign or reply:
            assert (after.sender, after.consent, after.status) == (
                before.sender,
                before.consent,
                before.status,
            )

    # What the world does

    @rule(
        wait=st.sampled_from(
            [timedelta(minutes=1), timedelta(minutes=10), timedelta(days=1), timedelta(days=8)]
        )
    )
    def time_passes(self, wait: timedelta) -> None:
        self.ports.world.pass_time(wait)

    @rule(error=REFUSALS)
    def entra_refuses_next(self, error: ProblemError) -> None:
        self.ports.authorizer.fail = [error]

    @rule()
    def the_vault_is_away_next(self) -> None:
        self.ports.vault.fail = [TransientError("key_vault_unavailable")]
        self.vault_was_away = True

    @rule()
    def a_mail_is_sent(self) -> None:
        found = self.ports.settings.load(CONTOSO)
        try:
            sender = sender_of(found)
        except ProblemError:
            assert found.status is not Status.ENABLED
            return
        assert found.status is Status.ENABLED
        try:
            self.ports.tokens.get(CONTOSO, sender.consent, fresh=True)
        except (ConsentRequiredError, ConfigurationError) as error:
            note_failure(self.ports.settings, CONTOSO, sender.consent.generation, error, self.ports.world)
        except TransientError:
            assert self.ports.settings.load(CONTOSO).status is Status.ENABLED

    @rule()
    def a_day_ends(self) -> None:
        keep_all(self.ports)

    @precondition(lambda self: not self.ports.vault.fail)
    @rule()
    def the_vault_is_swept(self) -> None:
        sweep(CONTOSO, self.ports)

        found = self.ports.settings.load(CONTOSO)
        in_use = {found.consent.secret_name} if found.consent else set()
        under_way = {f"smtp-{CONTOSO}-{found.pending.generation}"} if found.pending else set()
        assert set(self.ports.vault.secrets) <= in_use | under_way
        self.vault_was_away = False

    # What always holds

    @invariant()
    def the_page_can_explain_it(self) -> None:
        view = shown(self.ports)
        configured = view["status"] != "not_configured"
        assert (view["fromEmailAddress"] is not None) is configured
        assert (view["consentedBy"] is not None) is configured
        assert bool(view["permissions"]) is configured
        assert (view["problem"] is not None) is (view["status"] in {"reconnect_needed", "operator_error"})
        if view["problem"]:
            assert view["problem"]["detail"]
            assert view["problem"]["whoActs"] != "nobody"
        assert view["largeFileAttachments"]["locked"] is view["largeFileAttachments"]["enabled"]
        assert view["actions"]["enable"] or view["actions"]["save"]

    @invariant()
    def the_buttons_tell_the_truth(self) -> None:
        found, actions = self.ports.settings.load(CONTOSO), shown(self.ports)["actions"]
        wanted = Wanted("new@contoso.com", large_file_attachments=True)
        assert actions["enable"] is _allowed(lambda: check_enable(found, wanted))
        assert actions["save"] is _allowed(lambda: check_save(found, wanted))
        assert actions["sendTestMail"] is _allowed(lambda: sender_of(found))

    @invariant()
    def every_consent_says_how_it_stands(self) -> None:
        for flow_id in self.ports.flows.flows:
            view = content(call(consent.read_flow, self.ports, route={"flow_id": flow_id}))
            ended_badly = view["status"] in {"declined", "failed", "expired"}
            assert (view["problem"] is not None) is ended_badly
        pending = shown(self.ports)["pendingConsent"]
        assert pending is None or pending["flowId"] in self.ports.flows.flows

    @invariant()
    def no_tokens_are_lost_and_none_come_back(self) -> None:
        found = self.ports.settings.load(CONTOSO)
        current = {found.consent.secret_name} - {None} if found.consent else set()
        assert current <= set(self.ports.vault.secrets)
        if not self.vault_was_away:
            assert set(self.ports.vault.secrets) <= current

    @invariant()
    def no_generation_is_used_twice(self) -> None:
        now = self.ports.settings.load(CONTOSO).generations
        assert now >= self.generations
        self.generations = now

    def _ask(self, operation: Any, admin: Caller, body: dict[str, Any], *, blind: bool) -> Window | None:
        """Press a button, on a page that may be out of date; a refusal changes nothing."""
        headers = {} if blind else {"if-match": self.seen.get(admin.object_id, "*")}
        before = self.ports.settings.load(CONTOSO)
        try:
            reply: Reply = call(operation, self.ports, body, caller=admin, headers=headers)
        except (ConflictError, PreconditionFailedError):
            assert self.ports.settings.load(CONTOSO) == before
            return None
        after = self.ports.settings.load(CONTOSO)
        assert (after.sender, after.consent, after.status) == (before.sender, before.consent, before.status)
        if reply.status == 200:
            assert after.pending is None
            return None
        started = content(reply)
        return Window(started["flowId"], started["startUrl"])

    def _answer(self, window: Window, reply: dict[str, str]) -> Reply:
        if "adminconsent" not in window.address:
            return consent.finish(window.answers(**({"code": ""} if reply else {}), **reply), self.ports)
        query = {"state": window.state, "admin_consent": "True", **reply}
        headers = {"cookie": f"__Host-consent={window.cookie}"}
        return consent.finish_admin_consent(a_request(method="GET", query=query, headers=headers), self.ports)


def _allowed(check: Callable[[], object]) -> bool:
    try:
        check()
    except ProblemError:
        return False
    return True


TestEverySequence = Everything.TestCase
TestEverySequence.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
