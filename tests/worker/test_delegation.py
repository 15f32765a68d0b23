"""When a delegate has taken enough of a model, and what is said otherwise."""

import pytest

from device_worker.protocol.declarations import Delegation
from device_worker.protocol.fields import BadField, Fields
from device_worker.trial.delegation import Fallback, NodePlaces


def asked(**delegation):
    return Delegation(Fields({"delegation": delegation} if delegation else {}, "job"))


def figures_of(places):
    return {name: value for name, value, _ in places.figures()}


PARTLY = {"libtpu.so": 3, "XNNPACK": 4, "interpreter": 1}


def test_by_default_a_delegate_runs_every_node():
    with pytest.raises(Fallback, match=r"libtpu.so runs 3 of 8 nodes \(XNNPACK 4, interpreter 1\)"):
        NodePlaces("libtpu.so", PARTLY).refuse_fallback(asked())
    NodePlaces("libtpu.so", {"libtpu.so": 8, "XNNPACK": 0, "interpreter": 0}).refuse_fallback(asked())


@pytest.mark.parametrize(("nodes_min", "is_enough"), [(0.375, True), (0.38, False), (0, True), (1, False)])
def test_what_xnnpack_takes_is_none_of_the_delegates(nodes_min, is_enough):
    places = NodePlaces("libtpu.so", PARTLY)
    if is_enough:
        places.refuse_fallback(asked(nodes_min=nodes_min, allow_fallback=False))
    else:
        with pytest.raises(Fallback):
            places.refuse_fallback(asked(nodes_min=nodes_min, allow_fallback=False))


def test_an_unknown_number_is_not_taken_for_met():
    unknown = NodePlaces("libtpu.so", None, reason="this package does not list nodes")
    with pytest.raises(Fallback, match=r"nobody can tell .* this package does not list nodes"):
        unknown.refuse_fallback(asked(nodes_min=0.01, allow_fallback=False))
    unknown.refuse_fallback(asked(nodes_min=1.0, allow_fallback=True))
    assert set(figures_of(unknown).values()) == {None}
    assert {reason for _, _, reason in unknown.figures()} == {"this package does not list nodes"}


def test_a_cell_that_asks_for_none_is_never_refused():
    NodePlaces(None, None, reason="unknown").refuse_fallback(asked())
    NodePlaces(None, {"XNNPACK": 1, "interpreter": 7}).refuse_fallback(asked())


def test_figures_count_the_delegate_that_was_asked_for_or_any():
    assert figures_of(NodePlaces("libtpu.so", PARTLY)) == {
        "nodes": 8,
        "delegated_nodes": 3,
        "delegated_nodes_ratio": 0.375,
    }
    assert figures_of(NodePlaces(None, {"XNNPACK": 6, "interpreter": 2}))["delegated_nodes"] == 6


def test_a_share_may_be_known_without_a_count():
    places = NodePlaces("CUDAExecutionProvider", None, 1.0, "not counted")
    places.refuse_fallback(asked())
    assert figures_of(places) == {"nodes": None, "delegated_nodes": None, "delegated_nodes_ratio": 1.0}


def test_a_model_without_nodes_has_no_share():
    places = NodePlaces(None, {"XNNPACK": 0, "interpreter": 0})
    assert list(places.figures())[2] == ("delegated_nodes_ratio", None, "the model has no nodes")


def test_a_wrong_demand_is_refused_by_its_path():
    with pytest.raises(BadField, match=r"job: delegation\.allow_fallback"):
        asked(nodes_min=1.0, allow_fallback="no")
