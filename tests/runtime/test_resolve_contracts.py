"""Contracts that are judged by statistics: the budget is shared, and what is unwise is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from leadsman.api.guard import Guard
from leadsman.api.releasecontract import ContractSpec, ReleaseContract
from leadsman.core.spec import Contract, Family, OnFail, Plan, Stage
from leadsman.guards.judges import (
    Absolute,
    NegativeControl,
    NonInferiority,
    Relative,
    SampleRatio,
    Sequential,
    SequentialMean,
    Threshold,
)
from leadsman.runtime.resolve_terms import Found, contract_of, terms_of

EXAMPLES = Path(__file__).parents[2] / "examples"
PLAN = Plan((Stage("a", 5), Stage("b", 50), Stage("c", 100)))


def guard(judge: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"errors": {"preset": "Traefik"}, "judge": judge, **more}


def resolved(found: Found | None = None, **contract: Any) -> Contract:
    spec = ContractSpec.model_validate(contract)
    made = contract_of([("spec.contract", spec)], lambda *_: None, found or Found())
    assert made is not None
    return terms_of(PLAN, made).contract


def test_the_sequential_example_is_taken_as_it_is() -> None:
    bodies = list(yaml.safe_load_all((EXAMPLES / "contract-sequential.yaml").read_text()))
    guards = {
        b["metadata"]["name"]: Guard.model_validate(b) for b in bodies if b["kind"] == "Guard"
    }
    (contract,) = [ReleaseContract.model_validate(b) for b in bodies if b["kind"] != "Guard"]
    found = Found()
    made = contract_of([("spec", contract.spec)], lambda _, name: guards.get(name), found)
    assert made is not None
    terms = terms_of(PLAN, made)
    errors, slow, no_worse = (one.judge for one in terms.contract.guards)
    assert (found.problems, found.warnings) == ([], [])
    assert errors == slow == Sequential(0.1, 0.005, 3, 1.5)
    assert no_worse == NonInferiority(0.01)


def test_the_budget_is_shared_by_the_guards_that_can_roll_back_by_evidence() -> None:
    contract = resolved(
        falseRollback="1%",
        guards=[
            {"name": "a", "guard": guard({"sequential": {}})},
            {"name": "b", "guard": guard({"absolute": {"max": "2%"}})},
            {"name": "c", "guard": guard({"sequential": {}}), "onFail": "Hold"},
            {"name": "d", "guard": guard({"threshold": {"max": "5%", "minEvents": 400}})},
        ],
    )
    a, b, c, _ = (one.judge for one in contract.guards)
    assert isinstance(a, Sequential)
    assert isinstance(b, Absolute)
    assert isinstance(c, Sequential)
    assert a.alpha + b.alpha == pytest.approx(0.01)
    assert a.stages == 3


def test_half_of_a_guards_budget_goes_to_its_slices() -> None:
    slices = {"label": "route", "values": [f"/{n}" for n in range(20)]}
    contract = resolved(
        falseRollback="2%",
        guards=[{"name": "a", "guard": guard({"sequential": {}}, slices=slices)}],
    )
    (one,) = contract.guards
    assert isinstance(one.judge, Sequential)
    assert one.judge.alpha == pytest.approx(0.01)
    assert one.judge.alpha + 20 * one.judge.slice_alpha == pytest.approx(0.02)
    assert one.slices == tuple(slices["values"])


JUDGES = [
    ({"threshold": {"max": "5%", "minEvents": 400}}, Threshold(0.05, 30.0, 400)),
    ({"relative": {"maxRatio": "1.5", "minEvents": 50}}, Relative(1.5, 60.0, 50)),
    ({"sequential": {"tolerance": "25%", "overdispersion": "0.1"}}, (0.25, 0.1)),
    ({"nonInferiority": {"margin": "0.5%"}}, NonInferiority(0.005)),
    ({"absolute": {"max": "1%"}}, Absolute(0.01, 0.01)),
    ({"negativeControl": {}}, NegativeControl()),
    ({"sampleRatio": {}}, SampleRatio()),
]


@pytest.mark.parametrize(("judge", "wanted"), JUDGES, ids=[next(iter(j)) for j, _ in JUDGES])
def test_every_judge_of_the_api_is_known(judge: dict[str, Any], wanted: Any) -> None:
    on_fail = "Hold" if "nonInferiority" in judge else "Rollback"
    contract = resolved(guards=[{"name": "a", "guard": guard(judge), "onFail": on_fail}])
    made = contract.guards[0].judge
    if isinstance(made, Sequential):
        assert (made.tolerance, made.overdispersion) == wanted
    else:
        assert made == wanted


def test_a_mean_has_its_margin_in_seconds_and_its_family_from_what_is_measured() -> None:
    spec = {
        "latency": {"preset": "Traefik", "above": "250ms"},
        "judge": {"sequentialMean": {"margin": "1ms"}},
    }
    contract = resolved(
        guards=[{"name": "a", "guard": spec}, {"name": "b", "guard": {**spec, "family": "Quality"}}]
    )
    assert contract.guards[0].judge == SequentialMean(0.001, 0.005)
    assert [one.family for one in contract.guards] == [Family.LATENCY, Family.QUALITY]


def test_a_mean_knows_which_way_is_worse_and_the_contracts_design_ratio() -> None:
    spec = {
        "promQL": {"query": "score"},
        "judge": {"sequentialMean": {"margin": "0.02", "worse": "Lower"}},
    }
    contract = resolved(designRatio="1.2", guards=[{"name": "a", "guard": spec}])
    assert contract.guards[0].judge == SequentialMean(0.02, 0.01, 1.2, higher_is_worse=False)


def test_a_rollback_by_the_lower_bound_is_taken_with_a_warning_that_has_the_figures() -> None:
    found = Found()
    contract = resolved(
        found,
        guards=[
            {
                "name": "lcb",
                "guard": guard({"nonInferiority": {"margin": "0%"}}),
                "trigger": {"consecutive": 3},
            }
        ],
    )
    assert contract.guards[0].on_fail is OnFail.ROLLBACK
    assert found.problems == []
    (warning,) = found.warnings
    assert warning.reason == "LowerBoundRollsBack"
    for figure in ("100 %", "94 %", "49 %", "3 windows"):
        assert figure in warning.message


@pytest.mark.parametrize(("events", "warned"), [(399, True), (400, False)])
def test_few_events_for_a_limit_are_told(events: int, warned: bool) -> None:
    found = Found()
    judge = {"threshold": {"max": "5%", "minEvents": events}}
    resolved(found, guards=[{"name": "a", "guard": guard(judge)}])
    assert [one.reason for one in found.warnings] == (["MinEventsLow"] if warned else [])


def test_slices_of_a_judge_that_does_not_look_at_them_are_refused() -> None:
    found = Found()
    slices = {"label": "route", "values": ["/"]}
    judge = {"threshold": {"max": "5%", "minEvents": 400}}
    resolved(found, guards=[{"name": "a", "guard": guard(judge, slices=slices)}])
    assert [one.reason for one in found.problems] == ["MeasureUnsupported"]
    assert "spec.contract.guards[0]" in found.problems[0].message


@pytest.mark.parametrize(("last", "told"), [(20, 0), (21, 1)], ids=["400", "401"])
def test_slices_are_counted_over_all_guards_of_all_contracts(last: int, told: int) -> None:
    def contract(*counts: int) -> ContractSpec:
        guards = [
            {
                "name": f"g{number}",
                "guard": guard(
                    {"sequential": {}},
                    slices={"label": "route", "values": [f"/{n}" for n in range(count)]},
                ),
            }
            for number, count in enumerate(counts)
        ]
        return ContractSpec.model_validate({"guards": guards})

    found = Found()
    specs = [
        ("one", contract(*[20] * 15)),
        ("two", contract(*[20] * 4, last - 1)),
        ("three", contract(1)),
    ]
    assert contract_of(specs, lambda *_: None, found) is not None
    assert [one.reason for one in found.problems] == ["ContractInvalid"] * told
    assert all("slices: 401 over all guards, at most 400" in one.message for one in found.problems)


TOOTHLESS = {
    "a control alone": ([("negativeControl", "Hold")], ["measurement"]),
    "a split alone": ([("sampleRatio", "Rollback")], ["measurement"]),
    "warnings only": ([("sequential", "Warn"), ("threshold", "Warn")], ["onFail Warn"]),
    "both kinds": (
        [("negativeControl", "Hold"), ("sequential", "Warn")],
        ["measurement", "onFail Warn"],
    ),
    "one that rolls back": ([("negativeControl", "Hold"), ("sequential", "Rollback")], None),
    "one that holds": ([("sampleRatio", "Hold"), ("nonInferiority", "Hold")], None),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "threshold": {"max": "5%", "minEvents": 400},
    "nonInferiority": {"margin": "1%"},
}


@pytest.mark.parametrize(("guards", "why"), TOOTHLESS.values(), ids=TOOTHLESS)
def test_a_contract_that_stops_nothing_is_told(
    guards: list[tuple[str, str]], why: list[str] | None
) -> None:
    found = Found()
    made = [
        {"name": f"g{n}", "guard": guard({judge: OPTIONS.get(judge, {})}), "onFail": on_fail}
        for n, (judge, on_fail) in enumerate(guards)
    ]
    resolved(found, guards=made)
    assert found.problems == []
    assert [one.reason for one in found.warnings] == ([] if why is None else ["CannotStop"])
    for one in found.warnings:
        assert one.message.startswith("spec.contract.guards: no guard can stop a bad release")
        assert "add a guard" in one.message
        assert ("measurement" in one.message, "onFail Warn" in one.message) == (
            "measurement" in (why or ()),
            "onFail Warn" in (why or ()),
        )


def test_a_guard_that_stops_counts_for_all_contracts() -> None:
    control = {"name": "a", "guard": guard({"negativeControl": {}}), "onFail": "Hold"}
    stops = {"name": "b", "guard": guard({"sequential": {}})}
    for second, told in ((stops, 0), ({**control, "name": "b"}, 1)):
        found = Found()
        specs = [
            (f"ReleaseContract {n}: spec", ContractSpec.model_validate({"guards": [one]}))
            for n, one in enumerate((control, second))
        ]
        contract_of(specs, lambda *_: None, found)
        assert len(found.warnings) == told
        assert all(
            "ReleaseContract 0: spec.guards and those of 1 more" in one.message
            for one in found.warnings
        )
