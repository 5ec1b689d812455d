"""Settings come from the environment; what is wrong is named."""

from __future__ import annotations

import pytest

from leadsman.runtime.settings import Settings, SettingsError, load, unknown


def test_without_variables_everything_has_a_default() -> None:
    assert load({"PATH": "/bin"}) == Settings()
    assert load({}).namespaces == ()


@pytest.mark.parametrize("text", ["a,b", "a b", " a , b ", "a,\nb"])
def test_namespaces_are_separated_by_commas_or_blanks(text: str) -> None:
    assert load({"LEADSMAN_NAMESPACES": text}).namespaces == ("a", "b")


def test_numbers_and_switches_are_read() -> None:
    settings = load({"LEADSMAN_WORKERS": "3", "LEADSMAN_ALLOW_LOOPBACK_SOURCES": "true"})
    assert (settings.workers, settings.allow_loopback_sources) == (3, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEADSMAN_WORKERS", "0"),
        ("LEADSMAN_WORKERS", "many"),
        ("LEADSMAN_LOG_LEVEL", "loud"),
        ("LEADSMAN_HEALTH_PORT", "70000"),
        ("LEADSMAN_SWEEP_SECONDS", "-1"),
    ],
)
def test_a_wrong_value_is_refused_by_name_without_being_quoted(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        load({name: value})
    assert str(caught.value).count(name) == 1


def test_an_unknown_variable_is_reported_but_a_services_address_is_not() -> None:
    environment = {
        "LEADSMAN_WORKER": "3",
        "LEADSMAN_SERVICE_HOST": "10.0.0.1",
        "LEADSMAN_PORT_80_TCP": "tcp://10.0.0.1:80",
        "LEADSMAN_METRICS_PORT": "tcp://10.0.0.1:80",
        "LEADSMAN_WORKERS": "2",
    }
    assert unknown(environment) == ("LEADSMAN_WORKER",)
    assert load(environment).workers == 2
