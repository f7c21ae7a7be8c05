"""The facts about a machine that a run writes down."""

import json

import numpy as np

from minigan.environment import blas, environment


def test_the_facts_are_json_and_name_what_changes_results():
    facts = json.loads(json.dumps(environment()))
    assert facts["libraries"]["numpy"] == np.__version__
    assert facts["libraries"]["typer"]
    assert facts["blas"] == blas() != ""
    assert facts["blas_threads"] >= 1
    assert facts["processors"] >= 1
    assert "cupy" in facts
