"""Presets: which series a question asks for, whose arm they are, and what nobody can ask."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsman.adapters.presets.arms import ArmNames, Arms
from leadsman.adapters.presets.buckets import bounds_of
from leadsman.adapters.presets.patterns import checked
from leadsman.adapters.presets.question import router_total, seconds_of, shape_of
from leadsman.adapters.presets.shape import QueryInvalidError, label_name, literal, quoted
from leadsman.runtime.sampling.evidence import new_tally
from leadsman.runtime.sampling.plan import bounds_selector, family_of, queries_of, selector_of

ARMS = Arms(
    namespace="default",
    routes=(("HTTPRoute", "shop"),),
    canary=ArmNames(("shop-canary",), ("shop-abc",), ("odd-pod",), "abc"),
    stable=ArmNames(("shop-stable",), ("shop-xyz",), (), "xyz"),
)
GRPC = Arms("default", ARMS.canary, ARMS.stable, (("GRPCRoute", "shop"),))
ERRORS = {"errors": {"preset": "Traefik"}}
HEAD = "httproute-default-shop-gw-gateway-gateway-ep-web-0-9e39ccd620d0c6349293"


def service(name, head=HEAD, namespace="default", tail="-1@kubernetesgateway"):
    return f"{head}-svc-{namespace}-{name}{tail}"


def traefik(value, code="200", protocol="http"):
    return {
        "__name__": "traefik_service_requests_total",
        "service": value,
        "code": code,
        "protocol": protocol,
        "namespace": "gateway",
    }


SERVICES = {
    "the canary's": (service("shop-canary"), "canary"),
    "stable's": (service("shop-stable", tail="-0@kubernetesgateway"), "stable"),
    "by port, as older versions have it": (
        service("shop-canary", tail="-80@kubernetesgateway"),
        "canary",
    ),
    "without a hash, as older versions have it": (
        service("shop-canary", head="httproute-default-shop-gw-gateway-gw-ep-web-secure-3"),
        "canary",
    ),
    "the user's own Service at rest": (service("shop"), None),
    "a Service whose name ends alike": (service("other-shop-canary"), None),
    "a Service whose name begins alike": (service("shop-canary-2"), None),
    "another namespace's Service": (service("shop-canary", namespace="evil"), None),
    "another route": (service("shop-canary", head=HEAD.replace("-shop-gw", "-shop2-gw")), None),
    "another namespace's route": (
        service("shop-canary", head=HEAD.replace("default", "evil")),
        None,
    ),
    "another kind of route": (
        service("shop-canary", head=HEAD.replace("httproute", "grpcroute")),
        None,
    ),
    "another provider": (service("shop-canary", tail="-1@kubernetescrd"), None),
    "a name that holds ours": (service("x-svc-default-shop-canary"), None),
    "something before it": ("x" + service("shop-canary"), None),
    "something after it": (service("shop-canary") + "x", None),
    "a dot for a dash": (service("shop.canary"), None),
    "nothing": ("", None),
    "a very long value": (service("a" * 5000), None),
}


@pytest.mark.parametrize(("value", "arm"), SERVICES.values(), ids=SERVICES)
def test_traefiks_services_are_told_apart_exactly(value, arm):
    shape = shape_of(ERRORS, ARMS)
    assert shape.arm_of(traefik(value)) == arm
    if arm:
        assert re.fullmatch("|".join(shape.asked), value)


def test_dots_in_a_routes_name_are_dashes_in_the_label():
    arms = Arms("default", ARMS.canary, ARMS.stable, (("HTTPRoute", "shop.example.com"),))
    head = HEAD.replace("-shop-gw", "-shop-example-com-gw")
    assert shape_of(ERRORS, arms).arm_of(traefik(service("shop-canary", head))) == "canary"


def role(shape, labels):
    found = shape.role_of(labels)
    return (found.total, found.bad) if found else None


@pytest.mark.parametrize(
    ("code", "protocol", "counts"),
    [
        ("200", "http", (1, 0)),
        ("404", "http", (1, 0)),
        ("429", "http", (1, 0)),
        ("499", "http", (1, 0)),
        ("500", "http", (1, 1)),
        ("503", "http", (1, 1)),
        ("0", "http", (1, 0)),
        ("5000", "http", (1, 0)),
        ("2", "grpc", None),
        ("2", "grpc-web", None),
        ("101", "websocket", (1, 0)),
    ],
)
def test_errors_are_answers_from_500_on_and_grpc_is_not_counted(code, protocol, counts):
    shape = shape_of(ERRORS, ARMS)
    assert role(shape, traefik(service("shop-canary"), code, protocol)) == counts


def test_errors_of_grpc_routes_are_refused_because_they_cannot_be_seen():
    with pytest.raises(QueryInvalidError, match="gRPC"):
        shape_of(ERRORS, GRPC)
    total = router_total(GRPC)
    head = HEAD.replace("httproute", "grpcroute")
    labels = traefik(service("shop-canary", head), "2", "grpc")
    assert (total.arm_of(labels), role(total, labels)) == ("canary", (1, 0))


def test_latency_is_the_count_less_the_bucket_in_any_spelling():
    shape = shape_of({"latency": {"preset": "Traefik", "above": "1s"}}, ARMS)
    name = "traefik_service_request_duration_seconds"
    labels = traefik(service("shop-canary"))
    assert role(shape, labels | {"__name__": f"{name}_count"}) == (1, 1)
    for bound, counts in {"1": (0, -1), "1.0": (0, -1), "10": None, "+Inf": None}.items():
        assert role(shape, labels | {"__name__": f"{name}_bucket", "le": bound}) == counts
    stream = labels | {"__name__": f"{name}_count", "protocol": "sse"}
    assert role(shape, stream) is None


@pytest.mark.parametrize(
    ("text", "spellings"),
    [
        ("250ms", {"0.25"}),
        ("1s", {"1", "1.0"}),
        ("10s", {"10", "10.0"}),
        ("0.05ms", {"5e-05", "0.00005"}),
        ("2.5s", {"2.5"}),
    ],
)
def test_bounds_are_asked_for_as_anybody_may_write_them(text, spellings):
    assert set(bounds_of(seconds_of(text))) == spellings


RATIO = {
    "ratio": {
        "bad": {"metric": "orders_total", "matchRegex": {"state": "failed|lost"}},
        "total": {"metric": "orders_total", "match": {"kind": "web"}},
        "arm": {"by": "Service", "label": "service"},
    }
}


def orders(**labels):
    return {"__name__": "orders_total", "namespace": "default", **labels}


def test_a_ratio_of_one_counter_is_sorted_series_by_series():
    shape = shape_of(RATIO, ARMS)
    assert role(shape, orders(kind="web", state="done")) == (1, 0)
    assert role(shape, orders(kind="web", state="lost")) == (1, 1)
    assert role(shape, orders(kind="app", state="lost")) == (0, 1)
    assert role(shape, orders(kind="app", state="done")) is None
    assert shape.arm_of(orders(service="shop-canary")) == "canary"
    assert shape.arm_of(orders(service="shop")) is None


def test_arms_by_pod_and_by_label():
    pod = shape_of({"errors": {"preset": "Pod"}}, ARMS)
    requests = {"__name__": "http_requests_total", "namespace": "default", "code": "500"}
    assert role(pod, requests) == (1, 1)
    for name, arm in {
        "shop-abc-f7x2q": "canary",
        "odd-pod": "canary",
        "shop-xyz-f7x2q": "stable",
        "shop-abc-f7x2q-x": None,
        "shop-abcd-f7x2q": None,
        "shop-abc-toolong": None,
    }.items():
        assert pod.arm_of(requests | {"pod": name}) == arm
    question = {
        "histogram": {"metric": "h", "above": "250ms", "arm": {"by": "Label", "label": "v"}}
    }
    label = shape_of(question, ARMS)
    assert label.arm_of({"namespace": "default", "v": "abc"}) == "canary"
    assert label.arm_of({"namespace": "default", "v": "xyz"}) == "stable"
    assert label.arm_of({"namespace": "default", "v": ""}) is None


def test_pods_of_a_set_with_a_long_name_are_known_by_its_first_58_characters():
    arms = Arms("default", ArmNames(replica_sets=("s" * 60,)), ArmNames())
    shape = shape_of({"errors": {"preset": "Pod"}}, arms)
    labels = {"namespace": "default", "pod": "s" * 58 + "abcde"}
    assert shape.arm_of(labels) == "canary"


def test_the_namespace_is_always_compared_for_metrics_that_a_user_names():
    for question in (
        RATIO,
        {"histogram": {"metric": "h", "above": "1s"}},
        {"errors": {"preset": "Pod"}},
    ):
        shape = shape_of(question, ARMS)
        tally = new_tally(shape, 0.0, 60.0, 0.0)
        assert 'namespace=~"default"' in selector_of([tally])
        assert 'namespace="default"' in bounds_selector(tally)
        labels = {"service": "shop-canary", "pod": "shop-abc-f7x2q"}
        assert shape.arm_of(labels | {"namespace": "other"}) is None


INJECTIONS = [
    'a"}[5m])) or vector(0) or sum(rate(x{app="b',
    'x"}',
    "x\\",
    "x\n",
    "x\u0000",
    "\ud800",
    "x" * 300,
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_no_name_takes_an_injection(text):
    for question in (
        {"histogram": {"metric": text, "above": "1s"}},
        {"histogram": {"metric": "h", "above": "1s", "match": {text: "a"}}},
        {"histogram": {"metric": "h", "above": "1s", "arm": {"by": "Pod", "label": text}}},
        {"histogram": {"metric": "h", "above": text}},
        {"errors": {"preset": text}},
    ):
        with pytest.raises(QueryInvalidError):
            shape_of(question, ARMS)


@given(st.text(max_size=40), st.text(max_size=40))
def test_law_no_label_value_leaves_its_quotes(value, pattern):
    question = {
        "histogram": {
            "metric": "h",
            "above": "1s",
            "match": {"a": value},
            "matchRegex": {"b": pattern},
        }
    }
    try:
        shape = shape_of(question, ARMS)
    except QueryInvalidError:
        return
    selector = selector_of([new_tally(shape, 0.0, 60.0, 0.0)])
    found = re.findall(r'(\w+)(=~|=)"((?:[^"\\\n]|\\.)*)"(?:,|\}$)', selector)
    rebuilt = ",".join(f'{label}{op}"{text}"' for label, op, text in found)
    assert "{" + rebuilt + "}" == selector
    assert [label for label, _, _ in found] == ["__name__", "namespace", "le", "a", "b", "pod"]
    assert shape.roles[0].conditions[0].holds({"a": value})


@pytest.mark.parametrize("label", ["namespace", "le"])
def test_labels_that_the_operator_sets_cannot_be_set(label):
    with pytest.raises(QueryInvalidError, match="set by the operator"):
        shape_of({"histogram": {"metric": "h", "above": "1s", "match": {label: "x"}}}, ARMS)


@given(st.text(max_size=30))
def test_law_a_literal_matches_itself_and_survives_quoting(text):
    assert re.fullmatch(literal(text), text, re.DOTALL)
    assert json.loads(quoted(text)) == text


GOOD = [
    "5..",
    "5..|429",
    "(GET|POST)",
    "/api/.*",
    "a?b",
    "[0-9]+",
    "[^a-f]{2,3}",
    r"\d\d\.x",
    "(?:a|b)?",
    "",
]
BAD = [
    "(a+)+",
    "(a|b)*",
    "a**",
    "a*b*c*",
    "(?i)x",
    "(?P<n>x)",
    "(?=x)",
    r"\1",
    r"\b",
    "^a",
    "a$",
    "(",
    "a)",
    "[",
    "[]",
    "[a",
    "*a",
    "a{1,}",
    "a{999}",
    "x{2}{3}",
    "\\",
    "[z-a]",
    "a" * 257,
]


@pytest.mark.parametrize("pattern", GOOD)
def test_ordinary_expressions_are_taken(pattern):
    assert checked(pattern) == pattern


@pytest.mark.parametrize("pattern", BAD)
def test_expressions_that_engines_read_differently_or_that_may_run_away_are_refused(pattern):
    with pytest.raises(QueryInvalidError):
        checked(pattern)


@given(
    st.text(alphabet="ab.|()[]*+?{}12,\\^$-d", max_size=14), st.text(alphabet="ab1", max_size=40)
)
def test_law_what_is_taken_compiles_and_ends_soon(pattern, value):
    try:
        taken = checked(pattern)
    except QueryInvalidError:
        return
    re.fullmatch(taken, value * 25)


DAMAGED = [
    "",
    "[]",
    "null",
    "{",
    "{}",
    '{"errors": 1}',
    '{"errors": {}}',
    '{"ratio": {"bad": {"metric": "x"}}}',
    '{"ratio": {"bad": 1, "total": 2}}',
    '{"histogram": {"metric": 1, "above": "1s"}}',
    '{"histogram": {"metric": "h", "above": "1s", "arm": {"by": "Moon"}}}',
    '{"promQL": {"query": "up"}}',
    '{"promQL": {"query": 1}}',
    '{"promQL": {}}',
    '{"errors": {"preset": "Traefik"}, "slices": {"label": "a", "values": ["b"]}}',
    "[" * 100_000,
]


@pytest.mark.parametrize("question", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_question_is_refused_with_a_sentence(question):
    with pytest.raises(QueryInvalidError, match=r"\w+ \w+"):
        shape_of(question, ARMS)


def test_a_preset_of_the_router_needs_a_route():
    with pytest.raises(QueryInvalidError, match="no route"):
        shape_of(ERRORS, Arms("default", ARMS.canary, ARMS.stable))


def test_reserved_label_names_are_refused():
    with pytest.raises(QueryInvalidError):
        label_name("__address__")


# Plans


def tally(question, arms):
    return new_tally(shape_of(question, arms), 0.0, 60.0, 0.0)


def many(count):
    return [
        tally(
            ERRORS,
            Arms(
                "default",
                ArmNames((f"s{n}-canary",)),
                ArmNames((f"s{n}-stable",)),
                (("HTTPRoute", f"s{n}"),),
            ),
        )
        for n in range(count)
    ]


def test_errors_and_latency_of_many_rollouts_are_one_query():
    slow = {"latency": {"preset": "Traefik", "above": "250ms"}}
    tallies = [*many(40), tally(slow, ARMS), tally(ERRORS, ARMS)]
    assert len({family_of(each.shape) for each in tallies}) == 1
    (query,) = queries_of(tallies, most=4)
    assert len(query.tallies) == 42
    assert 'le=~"|0\\\\.25"' in query.selector


def test_long_plans_are_cut_and_very_long_ones_make_longer_queries_not_more():
    queries = queries_of(many(150), most=4)
    assert 2 <= len(queries) <= 4
    assert all(len(query.selector) <= 8192 + 200 for query in queries)
    assert len(queries_of(many(900), most=4)) <= 4
    assert len(queries_of(many(900), most=1)) == 1
    assert sum(len(query.tallies) for query in queries_of(many(900), most=4)) == 900


def test_namespaces_share_a_query_and_different_matchers_do_not():
    other = Arms("other", ARMS.canary, ARMS.stable, ARMS.routes)
    own = {"errors": {"preset": "Pod"}}

    def families(*pairs):
        return {family_of(tally(question, arms).shape) for question, arms in pairs}

    assert len(families((own, ARMS), (own, other))) == 1
    assert len(families((own, ARMS), (RATIO, ARMS), (ERRORS, ARMS))) == 3


def test_arms_that_are_not_known_yet_are_not_asked_for():
    nobody = Arms("default", ArmNames(), ArmNames(), (("HTTPRoute", "shop"),))
    assert shape_of(ERRORS, nobody).asked == ()
    assert shape_of({"errors": {"preset": "Pod"}}, nobody).asked == ()
