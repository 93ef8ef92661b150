"""
Checks the service step by step: connection, clock, sign-in, MFA, role, datasets, allowance.

Each step runs as far as the previous one allows. A first call without credentials checks DNS, proxy, TLS and the clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from bulkpull._version import __version__
from bulkpull.catalog import load_catalog
from bulkpull.checks.result import CheckResult, fine, problem, problem_from, unchecked
from bulkpull.clock import Clock
from bulkpull.config.settings import Settings
from bulkpull.errors import AccessDenied, AuthError, BulkpullError, NotFound
from bulkpull.event_types import Event, TokenRenewed
from bulkpull.events import Events
from bulkpull.insights.client import InsightsClient
from bulkpull.insights.connect import connected
from bulkpull.model import OfferedDataset
from bulkpull.transport.http import Http, Request, Timeouts
from bulkpull.transport.proxies import Proxies
from bulkpull.transport.rate_limit import parse_http_date
from bulkpull.transport.reported_rate_limit import AllowanceState

# Tokens and secure links are judged by the clock; five minutes are what the identity platform bears.
_MOST_SKEW_S = 300.0
# A check is looked at by a person: it gives up sooner than a run does.
_PATIENCE = Timeouts(connect_s=10, read_s=20, total_s=30)
_TRIES = 2
_ROLE_FIX = (
    'give the user the role "Executive report viewer" in Partner Center (Account settings, User management), '
    'take "Report viewer" away (with both, the user counts as the lesser one), and wait up to an hour'
)


async def check_service(settings: Settings, *, clock: Clock, can_sign_in: bool = True) -> list[CheckResult]:
    """Everything about the service; where credentials are missing, only its hosts are reached."""
    agent = f"bulkpull/{__version__}"
    try:
        async with Http(ca_file=settings.ca_file, events=Events(), clock=clock, user_agent=agent) as http:
            address = f"{settings.api_base_url}/ScheduledDataset"
            api, date = await _reach("service", address, http=http, endpoint="the service")
            token_host, _ = await _reach("sign-in host", settings.token_address, http=http, endpoint="token")
    except BulkpullError as error:  # the certificates of `ca_file`
        return [problem_from("service", error), *_all_unchecked(_AFTER_REACH, "the service is not reached")]
    found = [api, token_host, _check_clock(date, clock=clock)]
    if not can_sign_in:
        return [*found, *_all_unchecked(_ACCOUNT_CHECKS, "credentials are missing")]
    return [*found, *await _check_account(settings, clock=clock)]


_ACCOUNT_CHECKS = ("sign-in", "mfa", "role", "datasets", "allowance")
_AFTER_REACH = ("sign-in host", "clock", *_ACCOUNT_CHECKS)


def _all_unchecked(checks: Sequence[str], why: str) -> list[CheckResult]:
    return [unchecked(check, why) for check in checks]


async def _reach(check: str, url: str, *, http: Http, endpoint: str) -> tuple[CheckResult, datetime | None]:
    """One call without credentials; whatever answers, it was reached. Also the moment that the answer names."""
    host = urlsplit(url).netloc
    proxy = Proxies().proxy_for(url)
    way = f" through the proxy {urlsplit(proxy.url).hostname}" if proxy else ""
    try:
        reply = await http.send(Request("GET", url, endpoint=endpoint, timeouts=_PATIENCE))
    except BulkpullError as error:
        return problem_from(check, error), None
    date = parse_http_date(reply.headers.get("Date"))
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        fix = "wait: the service or a proxy has an error"
        return problem(check, f"{host}{way} answers {reply.status} {reply.reason}", fix=fix), date
    secured = "name, TLS and certificate are valid" if url.startswith("https:") else "without TLS, on this machine"
    return fine(check, f"{host} answers{way}: {secured}", host=host, proxied=bool(proxy)), date


def _check_clock(date: datetime | None, *, clock: Clock) -> CheckResult:
    if date is None:
        return unchecked("clock", "no reply had the service's time")
    ahead_s = (clock.now() - date).total_seconds()
    skew_s = round(ahead_s, 1)
    if abs(ahead_s) <= _MOST_SKEW_S:
        # The service's time comes in whole seconds.
        return fine("clock", f"within {max(1.0, abs(ahead_s)):,.0f} s of the service's", skew_s=skew_s)
    direction = "ahead of" if ahead_s > 0 else "behind"
    message = f"{abs(ahead_s):,.0f} s {direction} the service's: tokens and secure links would be refused"
    fix = "set this machine's clock (`timedatectl set-ntp true` on Linux with systemd)"
    return problem("clock", message, fix=fix, skew_s=skew_s)


async def _check_account(settings: Settings, *, clock: Clock) -> list[CheckResult]:
    """Sign-in, MFA, role and datasets, by the one call that needs all of them."""
    events: list[Event] = []
    client: InsightsClient | None = None
    refused: BulkpullError | None = None
    offered: Sequence[OfferedDataset] = ()
    hasty = settings.model_copy(update={"request_attempts": min(_TRIES, settings.request_attempts)})
    try:
        async with connected(settings=hasty, events=Events(events.append), clock=clock) as connection:
            client = connection.client
            client.ask_for_mfa()
            offered = await client.get_datasets()
    except BulkpullError as error:
        refused = error
    renewed = [event for event in events if isinstance(event, TokenRenewed)]
    if refused and not renewed:
        return [problem_from("sign-in", refused), *_all_unchecked(_ACCOUNT_CHECKS[1:], "not signed in")]
    grant, lives_s = renewed[-1].grant, renewed[-1].lives_s
    signed_in = fine("sign-in", f"a token by the grant {grant}, good for {lives_s / 60:,.0f} minutes", grant=grant)
    has_mfa, withheld = (client.has_mfa, client.redacted) if client else (None, False)
    allowance = client.pacer.allowance if client else AllowanceState()
    silent = "the answer does not say"
    mfa = unchecked("mfa", silent) if refused and has_mfa is None else _check_mfa(has_mfa)
    is_limit_known = allowance.limit is not None or allowance.lowest is not None
    last = unchecked("allowance", silent) if refused and not is_limit_known else _check_allowance(allowance)
    if refused:
        return [signed_in, mfa, *_judge_refusal(refused), last]
    role = fine("role", "the service answers this user and withholds nothing", data_redacted=withheld)
    if withheld:
        words = "the service withholds revenue and personal data from this user (`dataRedacted`)"
        role = problem("role", words, fix=_ROLE_FIX, exit_code=AuthError.exit_code, data_redacted=withheld)
    return [signed_in, mfa, role, _check_offer(offered), last]


def _judge_refusal(error: BulkpullError) -> tuple[CheckResult, CheckResult]:
    if isinstance(error, NotFound):
        fix = f"check that `api_base_url` names the root of the Insights API; if it does, {_ROLE_FIX}"
        nothing = problem("datasets", "no list of datasets at this address (404)", fix=fix)
        return unchecked("role", "a wrong address and an account without datasets look alike"), nothing
    if isinstance(error, AuthError | AccessDenied):
        role = problem_from("role", error, exit_code=AuthError.exit_code)
        return role, unchecked("datasets", "the service does not answer this user")
    return unchecked("role", "the list of datasets did not arrive"), problem_from("datasets", error)


def _check_mfa(has_mfa: bool | None) -> CheckResult:  # noqa: FBT001 - the answer is the whole subject
    """The claim of multi-factor authentication; where the service does not tell, that is no error (behaviour 13)."""
    if has_mfa is None:
        return fine("mfa", "the service does not report whether the token has the MFA claim", compliant=None)
    if has_mfa:
        return fine("mfa", "the token has the claim of multi-factor authentication", compliant=True)
    message = "the token has no claim of multi-factor authentication: Partner Center requires it since April 2026"
    fix = "sign in once with MFA: `bulkpull auth login`"
    return problem("mfa", message, fix=fix, exit_code=AuthError.exit_code, compliant=False)


def _check_allowance(allowance: AllowanceState) -> CheckResult:
    """The limit on calls, as the replies give it (behaviour 172)."""
    limit, lowest = allowance.limit, allowance.lowest
    message = "the service does not report how many calls it allows"
    if limit is not None or lowest is not None:
        of_limit = f" of {limit:,} a window" if limit is not None else ""
        rest = f"{lowest:,} calls{of_limit} are left" if lowest is not None else f"{limit:,} calls a window are allowed"
        message = f"{rest}, for all tools of this partner together"
    return fine("allowance", message, limit=limit, lowest_remaining=lowest)


def _check_offer(offered: Sequence[OfferedDataset]) -> CheckResult:
    catalog = load_catalog()
    names = {catalog.canonical(dataset.name) for dataset in offered}
    twenty = [dataset.name for dataset in catalog.standard]
    missing = [name for name in twenty if name not in names]
    there = len(twenty) - len(missing)
    message = f"{there} of the {len(twenty)} are offered"
    if len(names) > there:
        message += f", and {len(names) - there} more"
    if missing:
        message += f"; not to this account: {', '.join(missing)}"
    return fine("datasets", message, offered=sorted(names), not_offered=missing)
