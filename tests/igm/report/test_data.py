import json

import numpy as np
import pytest
from igm import fakes

from vdtoolkit.igm.report.data import to_json


def test_a_lab_run_survives_strict_json():
    data = to_json(fakes.qtran_lab(2))
    again = json.loads(json.dumps(data, allow_nan=False))
    assert again == data
    assert again["format"] == "vdtoolkit.igm.lab/1"
    assert again["payoffs"][0] == fakes.QTRAN_GAME.tolist()
    assert again["methods"][4]["seeds"][1]["audit"]["states"][0]["greedy"] == [0, 0]
    assert again["limits"]["elu_qmix"]["exact"] is False


def test_keys_stand_in_the_order_of_the_fields():
    first, second = to_json(fakes.qtran_lab(1)), to_json(fakes.qtran_lab(1))
    assert json.dumps(first) == json.dumps(second)
    assert list(first)[:4] == ["format", "game", "agents", "states"]


def test_what_is_not_available_is_null():
    data = to_json(fakes.masked())
    assert data["format"] == "vdtoolkit.igm.audit/1"
    assert data["states"][0]["payoff"] == [[3, 1, 2], [None] * 3, [0, None, 7]]
    assert data["states"][0]["utilities"][0] == [0.5, None, 1.5]


def test_states_of_any_kind_become_text():
    audit = fakes.audit_of([fakes.state_audit(np.eye(2), np.eye(2), np.eye(2), state=(1, 2))])
    assert to_json(audit)["states"][0]["state"] == "(1, 2)"
    lab = fakes.single_seed_lab(audit, "eye")
    assert to_json(lab)["states"] == ["(1, 2)"]


def test_a_search_without_a_table_keeps_its_none():
    state = to_json(fakes.searched())["states"][0]
    assert state["q_tot"] is None
    assert state["exact"] is False
    assert len(state["greedy"]) == 8


def test_the_method_writes_the_same_as_it_returns(tmp_path):
    path = tmp_path / "audit.json"
    data = fakes.masked().to_json(path)
    assert json.loads(path.read_text(encoding="utf-8")) == data


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match="Audit or a LabResult, not dict"):
        to_json({})
