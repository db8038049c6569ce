"""Settings of one installation: `MDM_*` environment variables over the defaults below."""

from __future__ import annotations

from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mdm.errors import ConfigurationError

_PACKAGE = Path(__file__).resolve().parent


def default_configs() -> Path:
    """The `configs/` folder of a checkout, else the copy that the wheel carries."""
    checkout = _PACKAGE.parent / "configs"
    return checkout if checkout.is_dir() else _PACKAGE / "_configs"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MDM_", env_ignore_empty=True, extra="ignore", frozen=True)

    store: str = Field("sqlite:///mdm.db", description="Store URL: sqlite:///FILE or postgresql://...")
    configs: Path = Field(
        default_factory=default_configs, description="Folder of registries, models, policies"
    )
    work: Path | None = Field(None, description="Folder for the intermediate results of a run")
    ssn_key_file: Path | None = Field(
        None, description="File that holds the secret key of the SSN permutation"
    )
    log_signing_key_file: Path | None = Field(
        None, description="File that holds the secret key by which checkpoints of the event log are signed"
    )
    openlineage_file: Path | None = Field(
        None, description="File to which `mdm run` appends its OpenLineage events, one JSON object a line"
    )
    session_key_file: Path | None = Field(
        None, description="File that holds the secret key by which sessions of accounts are signed"
    )
    session_minutes: int = Field(15, ge=1, le=720, description="How long a session of an account lasts")
    oidc_issuer: str | None = Field(
        None, description="Identity provider whose tokens are taken, as their `iss` names it"
    )
    oidc_audience: str | None = Field(
        None, description="What a provider's token must have in `aud`: our name at the provider"
    )
    oidc_jwks_url: str | None = Field(None, description="Where the provider publishes its keys; https")
    oidc_roles_claim: str = Field(
        "roles", description="Claim that lists the roles; a dotted path, as realm_access.roles"
    )
    oidc_name_claim: str = Field("sub", description="Claim that names the person in the log")
    api_rate_limit: str = Field(
        "1000/second", description="Requests of one client, as the package `limits` writes them"
    )
    api_login_limit: str = Field(
        "10/minute", description="Attempts to sign in, or to show an unknown key, from one address"
    )
    api_body_limit: int = Field(1_000_000, ge=1_000, description="Largest body of a request, in bytes")
    api_body_seconds: float = Field(
        10, gt=0, description="Longest pause of a client that sends a body, in seconds"
    )
    api_threads: int = Field(
        3, ge=1, le=16, description="Requests that one worker carries out at once; others wait their turn"
    )
    claim_minutes: int = Field(30, ge=1, description="How long a steward's claim on a question lasts")
    webhook_signing_key_file: Path | None = Field(
        None, description="File that holds the secret key from which the secrets of webhooks derive"
    )
    webhook_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (),
        description="Networks that are not public and that webhooks may go to, also by http: 10.1.0.0/16,127.0.0.1",
    )
    webhook_ca_file: Path | None = Field(
        None, description="Certificates (PEM) of who signs those of webhook receivers, beside the system's"
    )
    webhook_worker: bool = Field(
        default=True, description="Whether `mdm serve` sends webhooks too; else `mdm webhooks run` does"
    )
    webhook_timeout: float = Field(
        15, gt=0, le=300, description="Seconds that a receiver has to take a message"
    )
    webhook_attempts: int = Field(16, ge=1, le=100, description="How often a message is tried")
    webhook_retry: float = Field(
        5, gt=0, le=3600, description="Seconds before the second attempt; each later wait is twice as long"
    )
    memory_limit: str = Field("4GB", description="Memory that DuckDB may use before it spills to disk")
    threads: int = Field(0, ge=0, description="Threads for batch work; 0 means all cores")

    @field_validator("store")
    @classmethod
    def _url(cls, value: str) -> str:
        if "://" not in value:  # a plain file name is what most people type first
            return f"sqlite:///{value}"
        if not value.startswith(("sqlite:///", "postgresql://")):
            raise ValueError("a store is sqlite:///FILE or postgresql://USER@HOST/DATABASE")
        return value

    @field_validator("oidc_jwks_url")
    @classmethod
    def _safe_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ValueError("the provider's keys are fetched over https")
        return value

    @model_validator(mode="after")
    def _whole_provider(self) -> Self:
        given = [self.oidc_issuer, self.oidc_audience, self.oidc_jwks_url]
        if any(given) and not all(given):
            raise ValueError("MDM_OIDC_ISSUER, MDM_OIDC_AUDIENCE and MDM_OIDC_JWKS_URL go together")
        return self

    @field_validator("webhook_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(ip_network(text.strip()) for text in value.split(",") if text.strip())

    @property
    def is_sqlite(self) -> bool:
        return self.store.startswith("sqlite")

    @property
    def store_file(self) -> Path:
        """Only for SQLite."""
        return Path(self.store.removeprefix("sqlite:///"))

    @cached_property
    def beside_store(self) -> Path:
        """Where files go that belong to the store but are not in it: next to the SQLite file, else the work folder."""
        if self.is_sqlite:
            return self.store_file.resolve().parent
        if self.work is None:
            raise ConfigurationError(
                "MDM_WORK is not set.",
                hint="With a PostgreSQL store, name a folder for working files in MDM_WORK.",
            )
        return self.work

    @property
    def work_folder(self) -> Path:
        if self.work is not None:
            return self.work
        return (
            self.store_file.with_name(self.store_file.name + ".work") if self.is_sqlite else self.beside_store
        )

    @property
    def key_file(self) -> Path:
        if self.ssn_key_file is not None:
            return self.ssn_key_file
        return self._secret("ssn-key")

    @property
    def log_key_file(self) -> Path:
        if self.log_signing_key_file is not None:
            return self.log_signing_key_file
        return self._secret("log-key")

    @property
    def webhook_key_file(self) -> Path:
        if self.webhook_signing_key_file is not None:
            return self.webhook_signing_key_file
        return self._secret("webhook-key")

    def _secret(self, kind: str) -> Path:
        name = self.store_file.name if self.is_sqlite else "mdm"
        return self.beside_store / f"{name}.{kind}"

    @property
    def session_key(self) -> Path:
        if self.session_key_file is not None:
            return self.session_key_file
        return self._secret("session-key")

    @property
    def purposes_file(self) -> Path:
        return self.configs / "purposes.yaml"

    @property
    def registries_folder(self) -> Path:
        return self.configs / "registries"

    @property
    def attributes_file(self) -> Path:
        return self.configs / "attributes.yaml"

    @property
    def person_model_file(self) -> Path:
        return self.configs / "matching" / "person.yaml"

    @property
    def household_model_file(self) -> Path:
        return self.configs / "matching" / "household.yaml"

    @property
    def household_policy_file(self) -> Path:
        return self.configs / "golden_record" / "household.yaml"

    @property
    def links_households(self) -> bool:
        """An installation without a model of households has no entities of them."""
        return self.household_model_file.exists()

    @property
    def person_policy_file(self) -> Path:
        return self.configs / "golden_record" / "person.yaml"
