"""experiment.toml: what is wrong with it is told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextoffer.errors import ExperimentError
from nextoffer.experiment.file import Experiment, overlapping
from tests.experiment.toys import ACCEPTED, ARMS, PLAIN, experiment


def test_defaults() -> None:
    test = experiment()
    assert (test.level, test.alpha, test.interval, test.sides) == (0.95, 0.05, "sequential", 2)
    assert test.arms == ("old", "new")
    assert test.metric[0].source == "accepted"
    assert test.comparisons == 1


def test_every_problem_is_named_with_its_place() -> None:
    text = """
    nme = "x"
    starts = "soon"
    arm = [{name = "a", share = 0.5}, {name = "b", shar = 0.5}]
    metric = [{name = "m", kind = "conversions"}]
    [layer]
    name = "cards"
    form = 0.2
    """
    with pytest.raises(ExperimentError, match="unknown key") as error:
        Experiment.parse(text)
    told = "\n".join(error.value.problems)
    assert "experiment: name: missing" in told
    assert "nme: unknown key (did you mean 'name'?)" in told
    assert "starts: found 'soon'" in told
    assert "arm.1.share: missing" in told
    assert "arm.1.shar: unknown key (did you mean 'share'?); there are name, share" in told
    assert "metric.0.kind: found 'conversions'" in told
    assert "layer.form: unknown key (did you mean 'from'?)" in told
    assert len(error.value.problems) == 7


WRONG = {
    "shares": (ARMS.replace("0.5", "0.4"), ACCEPTED, "must add up to 1; they add up to 0.8"),
    "one arm": ('[[arm]]\nname = "a"\nshare = 0.5\n', ACCEPTED, "needs two arms or more; found 1"),
    "twice": (ARMS.replace("new", "old"), ACCEPTED, "arms named more than once: old"),
    "no primary": (ARMS, ACCEPTED + 'role = "secondary"\n', "no metric is primary"),
    "guardrail": (ARMS, ACCEPTED + '[[metric]]\nname = "x"\nrole = "guardrail"\n', "a guardrail needs lift"),
    "base": (ARMS, ACCEPTED + "base = 3.0\n", "base is a rate, between 0 and 1; found 3"),
}


@pytest.mark.parametrize("case", WRONG)
def test_contradictions(case: str) -> None:
    arms, metrics, message = WRONG[case]
    with pytest.raises(ExperimentError, match=message.split(";")[0]) as error:
        experiment(arms=arms, metrics=metrics)
    assert message in str(error.value)


def test_dates_and_files(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="ends 2026-02-01 before it starts, 2026-03-01"):
        Experiment.parse(PLAIN.replace("2026-03-28", "2026-02-01") + ARMS + ACCEPTED)
    with pytest.raises(ExperimentError, match="there is no such file"):
        Experiment.read(tmp_path / "absent.toml")
    with pytest.raises(ExperimentError, match="not valid TOML"):
        Experiment.parse("name = ")


def _in_layer(name: str, start: float, stop: float, *, layer: str = "cards", seed: int = 0) -> Experiment:
    said = f'[layer]\nname = "{layer}"\nfrom = {start}\nto = {stop}\nseed = {seed}\n'
    return Experiment.parse(PLAIN.replace('"cards"', f'"{name}"') + ARMS + ACCEPTED + said)


def test_experiments_of_a_layer_may_not_overlap() -> None:
    assert overlapping([_in_layer("a", 0, 0.5), _in_layer("b", 0.5, 1), _in_layer("c", 0, 1, layer="loans")]) == []
    assert "both use 0.4 to 0.5 of layer 'cards'" in overlapping([_in_layer("a", 0, 0.5), _in_layer("b", 0.4, 1)])[0]
    assert "different seeds" in overlapping([_in_layer("a", 0, 0.5), _in_layer("b", 0.5, 1, seed=1)])[0]
