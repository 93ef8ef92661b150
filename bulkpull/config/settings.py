"""
The settings: one flat set of names; the only code that reads the environment and the settings file.

Precedence: option, then environment (`BULKPULL_NAME`), then the TOML file, then the default. An empty environment
variable counts as not set. An error names the key, the source of the value and what is allowed. A secret may also come
from a file (`client_secret_file`), from a program (`client_secret_command`) or, by reference, from an Azure Key Vault.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, cast, get_args

from platformdirs import user_data_path
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from bulkpull.account import Account
from bulkpull.allowed_values import typed, wrong_values
from bulkpull.api_wording import python_words
from bulkpull.config.file import (
    DEFAULT_FILE,
    ENV_PREFIX,
    Origin,
    describe_origin,
    in_use,
    origin_of,
    read_settings_file,
    unknown_variables,
    variable_of,
)
from bulkpull.config.secrets import (
    FORMS,
    SECRETS,
    given_twice,
    origins_of_secrets,
    read_secret_file,
    without_outranked,
)
from bulkpull.config.types import (
    CacheFolder,
    Client,
    Command,
    ExistingFile,
    Few,
    FilePath,
    Hosts,
    OutputPath,
    Positive,
    PositiveInt,
    Programme,
    RootAddress,
    Secret,
    SecretAddress,
    Tenant,
    Text,
    Timespan,
    TokenAddress,
    Word,
    expanded,
)
from bulkpull.custom_query import Selection, read_selections
from bulkpull.errors import AuthError, SettingsError
from bulkpull.metric_selection import MetricsChoice
from bulkpull.timespans import WIDEST
from bulkpull.wrong_settings import RefusedSetting, WrongSetting, settings_error, unknown_names

__all__ = ["DEFAULT_FILE", "ENV_PREFIX", "NO_CACHE", "SECRETS", "WIDEST", "Grant", "Origin", "Settings", "origins"]

NO_CACHE = "off"
Grant = Literal["password", "refresh_token", "client_credentials", "azure"]


class Settings(BaseSettings):
    """
    All settings of a run. Keyword arguments override the environment, which overrides the defaults; `load` adds the
    file.

    Raises:
        SettingsError: A value is wrong or a name is unknown.
    """

    reads_outside: ClassVar[bool] = True
    """Whether the environment and the settings file are read besides keyword arguments."""
    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    api_base_url: RootAddress = Field(
        "https://api.partnercenter.microsoft.com/insights/v1/mpn", description="root of the Insights API"
    )
    token_url: TokenAddress = Field(
        "https://login.microsoftonline.com/{tenant_id}/oauth2/token",
        description="token endpoint; {tenant_id} is filled in",
    )
    resource: Word = Field(
        "https://api.partnercenter.microsoft.com", description="resource requested from the token endpoint"
    )
    ca_file: ExistingFile | None = Field(None, description="extra PEM bundle to trust")
    tenant_id: Tenant | None = Field(None, description="the directory (tenant) of the application")
    client_id: Client | None = Field(None, description="the application")
    client_secret: Secret | None = Field(None, description="the application's secret")
    client_secret_file: Path | None = Field(None, description="file that holds `client_secret`")
    client_secret_command: Command | None = Field(
        None, description="program, run without a shell, that writes `client_secret`"
    )
    client_certificate_file: ExistingFile | None = Field(
        None, description="PEM file with the application's private key and certificate, instead of a secret"
    )
    client_certificate_password: Secret | None = Field(None, description="opens an encrypted private key")
    client_certificate_password_file: Path | None = Field(
        None, description="file that holds `client_certificate_password`"
    )
    username: Text | None = Field(None, description="the user, for the password grant")
    password: Secret | None = Field(None, description="the user's password, for the password grant")
    password_file: Path | None = Field(None, description="file that holds `password`")
    password_command: Command | None = Field(None, description="program, run without a shell, that writes `password`")
    refresh_token: Secret | None = Field(None, description="for the refresh-token grant (Secure Application Model)")
    refresh_token_file: Path | None = Field(None, description="file that holds `refresh_token`")
    refresh_token_command: Command | None = Field(
        None, description="program, run without a shell, that writes `refresh_token`"
    )
    grant: Grant | None = Field(None, description="how to sign in (`azure`: as this machine); chosen from what is set")
    token_cache: CacheFolder | None = Field(
        None, description="folder that keeps rotated refresh tokens; default: one of the user's own; `off` for none"
    )
    encrypt_token_cache: bool = Field(
        default=True, description="let the operating system encrypt the token cache where it can"
    )
    programme: Programme = Field(
        "mpn", description="`mpn` (Partner Insights); `cmp` (commercial marketplace) is not supported yet"
    )
    output: OutputPath = Field(Path("bulkpull-data"), description="output folder", validate_default=True)
    requests_per_second: Positive = Field(10.0, description="ceiling of the API rate limiter; it adapts downward")
    request_burst: PositiveInt = Field(
        10, description="calls that may be sent at once; three until the service reports its rate limit"
    )
    rate_limit_window_seconds: Positive = Field(
        60.0, description="the window of the service's rate limit, until a Retry-After shows another"
    )
    poll_initial_seconds: Positive = Field(5.0, description="first wait between two polls of executions")
    poll_max_seconds: Positive = Field(60.0, description="longest wait between two polls of executions")
    report_timeout_seconds: Positive = Field(
        10_800.0, description="a report that has been Running this long counts as failed"
    )
    report_attempts: PositiveInt = Field(
        2, description="attempts per report, including retries of failed or stuck ones"
    )
    reports_in_flight: PositiveInt | None = Field(
        None, description="most reports in progress at once; by default learnt from the service"
    )
    reports_per_dataset: PositiveInt = Field(
        200, description="most reports one export may create for one dataset; more needs `--yes`"
    )
    history_restated_months: Few | None = Field(
        None, description="months that a growing history requests again; default: the widest span of its dataset"
    )
    one_off_quota_window_seconds: Positive = Field(
        3_600.0, description="the service's window for its quota of one-off reports, once it has refused one"
    )
    standing_lead_hours: Annotated[float, Field(ge=0, le=20)] = Field(
        4.0, description="how long before the usual nightly hour a scheduled report is executed"
    )
    request_attempts: PositiveInt = Field(6, description="attempts of one request or download before its dataset fails")
    parallel_downloads: Few = Field(4, description="files at once")
    download_segments: Few = Field(4, description="ranges at once within one large file")
    minimum_bytes_per_second: Positive = Field(
        1_000.0, description="least average rate of a download over a minute; below it the connection is renewed"
    )
    run_timeout_seconds: Positive | None = Field(None, description="the run ends after this time, and can be resumed")
    storage_hosts: Hosts | None = Field(
        None, description="hosts on this machine or in a private network that links may name, separated by commas"
    )
    timespan: Timespan | None = Field(
        None, description="TIMESPAN of the query, or `widest`; default: the widest offered up to LAST_6_MONTHS"
    )
    metrics: MetricsChoice = Field(
        "amounts",
        description="metrics that a full export selects after the columns: `amounts` held by no column, `all`, `none`",
    )
    on_drift: Literal["allow", "warn", "fail"] = Field("warn", description="columns differ from the published snapshot")
    on_shrink: Literal["hold", "publish"] = Field("hold", description="no rows where the current snapshot has some")
    note_shrink: Annotated[float, Field(ge=0, le=1)] = Field(
        0.2, description="share of rows by which a snapshot may shrink without a note"
    )
    fail_on_redacted: bool = Field(default=False, description="treat redacted data as a failure")
    max_unpacked_bytes: PositiveInt = Field(200_000_000_000, description="one report's size after decompression")
    keep_reports: bool = Field(
        default=False, description="leave one-off reports on the service after their data is safe"
    )
    keep_raw: bool = Field(default=False, description="keep the downloaded bytes beside the Parquet")
    retain_runs: PositiveInt = Field(7, description="snapshots kept per dataset")
    metrics_file: FilePath | None = Field(
        None, description="Prometheus text file, renewed each minute of a run and at its end"
    )
    notify_command: Command | None = Field(
        None, description="command run at the end of every run, without a shell; the manifest is its standard input"
    )
    notify_url: SecretAddress | None = Field(
        None, description="address that receives the manifest by POST at the end of every run; kept secret"
    )
    notify_seconds: Positive = Field(30.0, description="time limit of the notifications at the end of a run")
    queries: Annotated[tuple[Selection, ...], NoDecode] = Field(
        (), description="custom queries: tables `[[queries]]` of the settings file"
    )

    def __init__(self, **options: Any) -> None:
        known, faults = Settings.model_fields, self.unknown_settings()
        try:
            super().__init__(**options)
        except ValidationError as error:
            # A keyword argument, or an option of a command, is named by what it sets.
            wrong, unknown = wrong_values(
                error, known, place_of=lambda name: "" if name in options else describe_origin(name)
            )
            # Only keyword arguments: file and environment are looked through before.
            faults += unknown_names(unknown, where="Settings(…)", known=known, lists_allowed=False) + wrong
        except SettingsError as error:
            faults.append(WrongSetting.of_error(error))
        if faults:
            raise settings_error(faults, known=known)
        self.check_output()

    @classmethod
    def unknown_settings(cls) -> list[WrongSetting]:
        if not cls.reads_outside:
            return []
        known, file = cls.model_fields, in_use.get()
        in_file = unknown_names([name for name in file.content if name not in known], where=file.place, known=known)
        return [*in_file, *unknown_variables(os.environ, known=known)]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_sources: PydanticBaseSettingsSource,
        **_named_sources: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options, environment, file; `.env` files and secret folders are not read, so nothing surprises."""
        if not cls.reads_outside:
            return (init_settings,)
        variables = _Below(settings_cls, _from_environment(settings_cls.model_fields))
        fields = settings_cls.model_fields
        file = {name: typed(value, fields[name]) for name, value in in_use.get().content.items() if name in fields}
        return init_settings, variables, _Below(settings_cls, file)

    @classmethod
    def load(cls, config: str | Path | None = None, *, demo: bool = False, **options: Any) -> Self:
        """
        The settings of a command: `options` that are not `None`, the environment, the file, the defaults.

        Args:
            config: The settings file; without it `./bulkpull.toml` is read when it exists.
            demo: Take no address and no credential from anywhere; `for_simulator` adds the simulator's.

        Raises:
            SettingsError: The file cannot be read, or a name or a value is wrong.
        """
        with python_words():
            return cls.load_for_command(config, demo=demo, **options)

    @classmethod
    def load_for_command(cls, config: str | Path | None = None, *, demo: bool = False, **options: Any) -> Self:
        """As `load`, with errors that name a command's options."""
        token = in_use.set(read_settings_file(Path(config) if config is not None else None))
        try:
            given = {name: value for name, value in options.items() if value is not None}
            return cls(**((_unpointed() if demo else {}) | given))
        finally:
            in_use.reset(token)

    def replacing(self, **options: Any) -> Self:
        """The same settings with some replaced, checked as by the class; those that are `None` stay as they are."""
        given = {name: value for name, value in options.items() if value is not None}
        if not given:
            return self
        kept = {name: getattr(self, name) for name in self.model_fields_set}
        checked = type(self)(**(kept | _unpointed() | given))  # reads no secret again
        return self.model_copy(update={name: getattr(checked, name) for name in given})

    def check_output(self) -> None:
        """Refuse an output folder that is, or lies beneath, something other than a folder."""
        output = self.output.absolute()
        for path in (output, *output.parents):
            try:
                if path.is_dir():
                    return
                if path.exists():
                    raise SettingsError(
                        f"the output folder {self.output} cannot be used",
                        why=f"{path} is a file" if path.is_file() else f"{path} is no folder",
                        fix="set `output` to a folder",
                    )
            except OSError:  # what may not be looked at is told by whoever has to use it
                return

    def for_simulator(self, addresses: Mapping[str, str]) -> Self:
        """The same settings pointed at a simulator: every address and credential is replaced, none is kept."""
        pointed = {name.removeprefix(ENV_PREFIX).lower(): value for name, value in addresses.items()}
        kept = self.model_dump(exclude=set(_unpointed()), exclude_unset=True)
        # What a simulator hands out is of no use to anybody later.
        return type(self)(**(_unpointed() | kept | {"token_cache": NO_CACHE} | pointed))

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, given: Any) -> Any:
        """Put the secrets that lie in files into their settings."""
        if not isinstance(given, dict):
            return given  # settings that were read already
        given = dict(given)
        if (twice := given_twice(given)) is not None:
            one, other = twice
            where = describe_origin(other)
            raise SettingsError(f"{where}: `{other}` is given besides `{one}`", fix="set one of the two")
        for name in SECRETS:
            setting = f"{name}_file"
            if isinstance(path := given.get(setting), str | Path):
                given[name] = read_secret_file(Path(path), setting=setting, where=describe_origin(setting))
        return given

    @field_validator("queries", mode="before")
    @classmethod
    def _read_queries(cls, given: object) -> tuple[Selection, ...]:
        try:
            if isinstance(given, str) and given == _from_environment(["queries"]).get("queries"):
                given = json.loads(given)
            return read_selections(given)
        except SettingsError as error:
            raise RefusedSetting(error) from None
        except (ValueError, RecursionError) as trouble:
            raise RefusedSetting(SettingsError("`queries` is not valid JSON", why=str(trouble))) from None

    @property
    def account(self) -> Account:
        return Account.of(api_root=self.api_base_url, programme=self.programme, tenant=self.tenant_id)

    @property
    def token_address(self) -> str:
        return self.token_url.replace("{tenant_id}", self.tenant_id or "common")

    @property
    def token_cache_folder(self) -> Path | None:
        """Where refresh tokens are kept between runs; `None` for nowhere, and where this user has no home."""
        if self.token_cache is None:
            folder = user_data_path("bulkpull", appauthor=False) / "tokens"
            return folder if folder.is_absolute() else None  # a user without a home: "~" stayed as it is
        if self.token_cache.casefold() == NO_CACHE:
            return None
        return expanded(Path(self.token_cache)).absolute()

    @property
    def near_hosts(self) -> tuple[str, ...]:
        return tuple(host.strip() for host in (self.storage_hosts or "").split(",") if host.strip())

    def has(self, name: str) -> bool:
        """Whether a setting is set; of a secret, whether it or a command that writes it is."""
        return bool(getattr(self, name) or getattr(self, f"{name}_command", None))

    def chosen_grant(self, *, kept: bool = False, public: bool = False) -> Grant:
        """
        The way to sign in: the one that was set, else the one that the credentials allow.

        Args:
            kept: The token cache holds a refresh token that goes with these settings.
            public: It is one that a person signed in for, to be redeemed without a secret.

        Raises:
            AuthError: A setting that this grant needs is missing; the message names them all.

        Source: behaviours 1, 11 and 15: a refresh token lasts, a password cannot satisfy MFA, app-only is refused.
        """
        grant = self.grant
        has_own = self.has("client_secret") or self.client_certificate_file is not None
        if grant is None:
            if self.has("refresh_token") or public:
                grant = "refresh_token"
            elif self.username or self.has("password"):
                grant = "password"
            else:
                grant = "client_credentials" if has_own and self.client_id and not kept else "refresh_token"
        spared = {"refresh_token"} if kept else set[str]()
        if public or self.client_certificate_file:
            spared.add("client_secret")
        missing = [name for name in NEEDED_SETTINGS[grant] if name not in spared and not self.has(name)]
        if missing:
            raise self._credentials_missing(grant, missing)
        return grant

    def _credentials_missing(self, grant: Grant, missing: Sequence[str]) -> AuthError:
        who = [f"{word} {value}" for word, value in self.identity.items() if value]
        why = f"the {grant} grant needs {', '.join(f'`{name}`' for name in missing)}"
        fix = f"set {', '.join(variable_of(name) for name in missing)}"
        if grant == "refresh_token" and grant in missing:  # `auth login` takes the place of the secrets
            application = [name for name in missing if name not in SECRETS]
            secrets = [name for name in missing if name in SECRETS]
            if application:
                why = f"it needs {', '.join(f'`{name}`' for name in application)}, a stored sign-in or `refresh_token`"
                first = f"set {' and '.join(map(variable_of, application))}, then run `bulkpull auth login`"
                fix = f"{first}, or set {' and '.join(map(variable_of, secrets))} too"
            else:
                why = "no sign-in is stored for them, and `refresh_token` is not set"
                refresh_token, username, password = map(variable_of, ("refresh_token", "username", "password"))
                fix = f"run `bulkpull auth login`, or set {refresh_token}"
                by_password = self.grant is None and not self.username  # without MFA a password signs in as well
                if by_password:
                    fix += f", or {username} and {password}"
                if "client_secret" in missing:
                    fix += f"; {'each ' if by_password else ''}with {variable_of('client_secret')}"
        return AuthError(
            f"credentials are missing for {', '.join(who) or 'an account that no setting names'}",
            why=why,
            fix=fix if who else f"{fix}; `bulkpull export --demo` needs none",  # whoever has set nothing yet is new
        )

    @property
    def identity(self) -> dict[str, str | None]:
        """Who signs in: tenant, client and user, as far as the settings name them."""
        return {"tenant": self.tenant_id, "client": self.client_id, "user": self.username}


# A demo tells nobody of its end.
_NOTICES = ("notify_command", "notify_url")
_SERVICE = ("api_base_url", "token_url", "resource", "ca_file")
_CREDENTIALS = ("tenant_id", "client_id", "username", "grant", *FORMS)
NEEDED_SETTINGS: dict[Grant, tuple[str, ...]] = {
    "password": ("tenant_id", "client_id", "client_secret", "username", "password"),
    "refresh_token": ("tenant_id", "client_id", "client_secret", "refresh_token"),
    "client_credentials": ("tenant_id", "client_id", "client_secret"),
    "azure": (),  # whoever this machine is to Azure
}
"""By way to sign in, the settings that it needs; the secret that only it sends stands last."""


class _Below(InitSettingsSource):
    """A lower-priority source, without secrets that a higher one provides in any form."""

    def __call__(self) -> dict[str, Any]:
        return without_outranked(super().__call__(), higher=self.current_state)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"  # that of the library shows all values, secrets among them


def _from_environment(names: Collection[str]) -> dict[str, str]:
    # No setting is written as JSON but `queries`, which reads itself: the library's own source, which can do more,
    # takes longer than all the rest of the settings.
    # A file of variables with the line ends of Windows leaves a CR behind every value.
    variables = {name.upper(): value.rstrip("\r\n") for name, value in os.environ.items()}
    given = {name: variables.get(variable_of(name)) for name in names}
    return {name: value for name, value in given.items() if value}


def origins(config: Path | None = None, *, options: Collection[str] = ()) -> dict[str, Origin]:
    """Where `Settings.load` takes each setting from; raises `SettingsError` if the file cannot be read."""
    file = read_settings_file(config)
    found = {name: origin_of(name, options=options, file=file) for name in Settings.model_fields}
    return found | cast("dict[str, Origin]", origins_of_secrets(found, ranks=get_args(Origin)))


def _unpointed() -> dict[str, Any]:
    """Every address and credential at its default, so that neither environment nor file can supply one."""
    names = (*_SERVICE, *_CREDENTIALS, *_NOTICES)
    return {name: Settings.model_fields[name].default for name in names}
