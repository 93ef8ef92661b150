"""Chooses how a run signs in: from settings, the cached sign-in, and secrets stored elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from anyio import to_thread
from pydantic import SecretStr

from bulkpull.auth import TokenCache, TokenEntry, TokenRotation, open_token_cache
from bulkpull.auth.certificate import load_certificate
from bulkpull.auth.external_secrets import read_secret
from bulkpull.auth.grants import Credentials, Grant
from bulkpull.auth.token_endpoint import TokenEndpoint
from bulkpull.clock import Clock
from bulkpull.config.settings import Settings
from bulkpull.errors import AuthError
from bulkpull.events import Events
from bulkpull.transport.http import Http
from bulkpull.transport.retry import Retrier


async def choose_grant(settings: Settings) -> str:
    """How this run would sign in: one of our grants, or `azure`; asks nobody."""
    return (await _choose(settings, seed=_plain(settings.refresh_token)))[0]


async def describe_sign_in(settings: Settings) -> str:
    """How this run would sign in and as whom, and which secret it would not send; asks nobody. Raises as above."""
    grant, _, stored = await _choose(settings, seed=_plain(settings.refresh_token))
    user = f" of {stored.account}" if stored and stored.account else ""
    match grant:
        case "azure":
            return "the identity of this machine in Azure (`grant` is azure)"
        case "password":
            return f"the password of {settings.username}"
        case "client_credentials":
            return "the application itself, without a user"
    if stored is None:
        return "`refresh_token` of the settings"
    if not stored.public:
        return f"the newest refresh token{user} from the token cache"
    unused = [name for name in ("client_secret", "client_certificate_file", "password") if settings.has(name)]
    listed = " and ".join(f"`{name}`" for name in unused)
    rest = f"; {listed} {'is' if len(unused) == 1 else 'are'} not sent, and so not checked" if unused else ""
    return f"the sign-in{user} that `bulkpull auth login` stored{rest}"


async def prepare_sign_in(
    settings: Settings, *, http: Http, retrier: Retrier, events: Events, clock: Clock
) -> TokenEndpoint:
    """
    The token endpoint with all that it asks for; a Key Vault is asked, and commands are run, for secrets they hold.

    Raises:
        AuthError: A credential is missing, or a vault or a command does not give it.
        SettingsError: The certificate cannot be used, or a library for it is not installed.
    """
    seed = await read_secret(settings, "refresh_token") if settings.grant in (None, "refresh_token") else None
    chosen, cache, kept = await _choose(settings, seed=seed)
    grant = Grant(chosen)
    public = kept is not None and kept.public and grant is Grant.REFRESH_TOKEN
    credentials = Credentials(
        client_id=settings.client_id or "",
        # A public client must not send a secret (AADSTS700025).
        client_secret=None if public else await read_secret(settings, "client_secret"),
        username=settings.username,
        password=await read_secret(settings, "password") if grant is Grant.PASSWORD else None,
        refresh_token=seed,
        sign=None if public else await _signer(settings, clock=clock),
    )
    return TokenEndpoint(
        http=http,
        retrier=retrier,
        clock=clock,
        events=events,
        token_url=settings.token_address,
        resource=settings.resource,
        grant=grant,
        credentials=credentials,
        kept=TokenRotation(cache, seed=seed, clock=clock, events=events) if cache is not None else None,
    )


async def _choose(settings: Settings, *, seed: str | None) -> tuple[str, TokenCache | None, TokenEntry | None]:
    """The grant, the cache, and what it holds that is to be used with these settings."""
    cache, entry, unread = open_token_cache(settings), None, None
    if cache is not None and settings.grant in (None, "refresh_token"):
        try:
            found = await to_thread.run_sync(cache.load)
        except (OSError, ValueError) as trouble:
            found, unread = None, getattr(trouble, "strerror", None) or str(trouble)
        if found is not None and found[0].supersedes(seed):
            entry = found[0]
    try:
        grant = settings.chosen_grant(kept=entry is not None, public=entry is not None and entry.public)
    except AuthError as missing:
        if cache is None or settings.grant not in (None, "refresh_token"):
            raise
        step = ""
        if unread is not None:
            found_there = f"the token cache {cache.folder} cannot be read: {unread}"
        elif others := await to_thread.run_sync(cache.other_sign_ins):
            found_there = f"the token cache has only a sign-in {' and one '.join(map(str, others))}"
            step = f"{' or '.join(other.step for other in others)}; or "
        else:
            found_there = "the token cache holds no sign-in for them"
        lacks_token = settings.tenant_id and settings.client_id and not settings.has("refresh_token")
        by_password = settings.grant is None and (settings.username or settings.has("password"))
        why = "`refresh_token` is not set, and" if lacks_token and not by_password else f"{missing.why};"
        raise AuthError(missing.what, why=f"{why} {found_there}", fix=f"{step}{missing.fix}") from None
    return grant, cache, entry


async def _signer(settings: Settings, *, clock: Clock) -> Callable[[str], str] | None:
    if settings.client_certificate_file is None:
        return None
    password = await read_secret(settings, "client_certificate_password")
    load = partial(load_certificate, settings.client_certificate_file, password=password)
    certificate = await to_thread.run_sync(load)
    return partial(certificate.assertion, client_id=(settings.client_id or "").strip(), clock=clock)


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
