"""What an administrator may set, read once from the environment at the start.

Everything has a default that is right for production. A wrong value is refused at the start with
the variable's name; an unknown variable is reported, so that a typing error is not silent.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from leadsman.errors import LeadsmanError

PREFIX = "LEADSMAN_"


class SettingsError(LeadsmanError):
    """Raised when an environment variable has a wrong value."""


def _words(value: Any) -> Any:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


class Settings(BaseModel):
    """The operator's settings; each field is read from `LEADSMAN_<FIELD>`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    namespaces: Words = ()
    """Namespaces to serve, separated by commas or spaces; none means the whole cluster."""
    kubeconfig: str = ""
    """A kubeconfig file to use instead of the pod's ServiceAccount."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    health_host: str = "0.0.0.0"  # noqa: S104 - probes come from the node
    health_port: int = Field(default=8080, ge=0, le=65535)
    """Port of /healthz, /readyz and /metrics; 0 takes any free port."""
    workers: int = Field(default=16, ge=1, le=64)
    """Rollouts that may be reconciled at the same time."""
    sweep_seconds: float = Field(default=300.0, ge=1.0, le=3600.0)
    """How often our own kinds are listed in case an event was missed."""
    source_queries_per_second: float = Field(default=4.0, gt=0.0, le=100.0)
    """The most queries a second to one metrics source."""
    allow_loopback_sources: bool = False
    """Let a MetricsSource name a loopback address: for tests only."""
    records: str = ""
    """A directory that gets each decision as a JSON line; "" records nothing."""


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings. Raises SettingsError that names each wrong variable."""
    ours = _ours(os.environ if environment is None else environment)
    try:
        return Settings.model_validate(ours)
    except ValidationError as wrong:
        lines = (
            f"{PREFIX}{'_'.join(str(part) for part in error['loc'][:1]).upper()}: {error['msg']}"
            for error in wrong.errors(include_input=False)
        )
        raise SettingsError("; ".join(lines)) from None


def unknown(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Variables that look like settings and are none."""
    ours = _ours(os.environ if environment is None else environment)
    return tuple(
        f"{PREFIX}{name.upper()}" for name in sorted(set(ours) - set(Settings.model_fields))
    )


def _ours(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and not _is_service_link(name, value)
    }


def _is_service_link(name: str, value: str) -> bool:
    # Kubernetes puts the addresses of Services named "leadsman..." into the environment.
    return "_SERVICE_" in name or "_PORT_" in name or value.startswith(("tcp://", "udp://"))
