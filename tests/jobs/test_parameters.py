import argparse
from dataclasses import dataclass

import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs.class2d import Class2DParameters
from relion4plugin.jobs.class3d_parameters import Class3DParameters
from relion4plugin.jobs.initialmodel_parameters import InitialModelParameters
from relion4plugin.jobs.parameters import (
    add_arguments,
    check,
    fields_of,
    from_arguments,
    from_job_options,
    parameter,
    reference_page,
    relion_value,
    to_job_options,
)
from relion4plugin.jobs.refine3d_parameters import Refine3DParameters
from relion4plugin.jobs.simulate_particles import SimulateParticlesParameters

ALL = [Class2DParameters, InitialModelParameters, Class3DParameters, Refine3DParameters, SimulateParticlesParameters]


@dataclass(frozen=True)
class Toy:
    fn_img: str = parameter("", label="Input", help="File.", section="I/O", option="--i", pattern="*.star")
    count: int = parameter(3, label="Count", help="How many.", section="A", minimum=1, maximum=9, short=("--n",))
    step: float = parameter(6.0, label="Step", help="Fine.", section="A", unit="deg", option="--coarse", option_scale=2.0)
    switch: bool = parameter(True, label="Switch", help="On.", section="A", negated=("--off",))
    mode: str = parameter("fast", label="Mode", help="Way.", section="B", choices=("fast", "slow"))


def parse(*words: str, base: Toy | None = None) -> Toy:
    parser = argparse.ArgumentParser()
    add_arguments(parser, Toy)
    return from_arguments(Toy, parser.parse_args(words), base)


def test_no_options_give_the_defaults():
    assert parse() == Toy()


def test_every_name_of_an_option_sets_it():
    assert parse("--i", "a.star", "--n", "5") == parse("--fn_img", "a.star", "--count", "5") == Toy(fn_img="a.star", count=5)
    assert parse("--off") == parse("--switch", "No") == Toy(switch=False)
    assert parse("--switch", base=Toy(switch=False)) == Toy(switch=True)


def test_relions_coarse_step_is_converted():
    assert parse("--coarse", "12") == Toy(step=6.0)
    assert parse("--coarse", "5") == Toy(step=2.5)


def test_options_not_given_are_taken_from_the_base():
    assert parse("--n", "4", base=Toy(step=1.0)) == Toy(step=1.0, count=4)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--n", "2.5"], "count is '2.5'"),
        (["--n", "many"], "a whole number"),
        (["--step", "x"], "step is 'x'"),
        (["--switch", "maybe"], "Yes or No"),
        (["--n", "inf"], "count is 'inf'"),
    ],
)
def test_text_of_the_wrong_type_is_named(words, expected):
    with pytest.raises(UserError, match=expected.replace("(", r"\(")):
        parse(*words)


@pytest.mark.parametrize(
    ("toy", "expected"),
    [
        (Toy(count=0), "count is 0 but must be at least 1"),
        (Toy(count=10), "count is 10 but must be at most 9"),
        (Toy(step=float("nan")), "step is not a number"),
        (Toy(mode="odd"), "mode is 'odd' but must be one of fast, slow"),
    ],
)
def test_bounds_are_checked(toy, expected):
    with pytest.raises(UserError) as caught:
        check(toy)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_job_options_are_relions_texts():
    assert to_job_options(Toy(step=0.1, switch=False)) == {"count": "3", "fn_img": "", "mode": "fast", "step": "0.1", "switch": "No"}


@pytest.mark.parametrize("cls", [Toy, *ALL])
def test_job_options_round_trip(cls):
    changed = {}
    for field in fields_of(cls):
        if field.type is bool:
            changed[field.name] = not field.default
        elif field.type is str:
            changed[field.name] = f"{field.default}x y"
        else:
            changed[field.name] = field.type(field.default + 1)
    parameters = cls(**changed)
    assert from_job_options(cls, to_job_options(parameters)) == parameters


def test_a_variable_in_place_of_a_number_is_refused():
    with pytest.raises(UserError, match=r"count is '\$\$k' in job.star"):
        from_job_options(Toy, {"count": "$$k"})


@pytest.mark.parametrize("cls", ALL)
def test_every_parameter_is_described_and_its_default_is_within_bounds(cls):
    check(cls())
    labels = [field.label for field in fields_of(cls)]
    assert len(set(labels)) == len(labels)
    for field in fields_of(cls):
        assert field.help.endswith(".") and field.label and field.section, field.name
        assert field.type is type(field.default), field.name


@pytest.mark.parametrize("cls", ALL)
def test_reference_page_names_every_parameter(cls):
    page = reference_page(cls, "a job", "")
    for field in fields_of(cls):
        assert f"`--{field.name}`" in page


@dataclass(frozen=True)
class Menu:
    step: str = parameter(
        "15 degrees", label="Step", help="Fine.", section="A", option="--order", option_index=True, choices=("30 degrees", "15 degrees")
    )


def menu(*words: str) -> Menu:
    parser = argparse.ArgumentParser()
    add_arguments(parser, Menu)
    return from_arguments(Menu, parser.parse_args(words))


@pytest.mark.parametrize("text", ["30 degrees", "30", "30__degrees", "30 Degrees"])
def test_a_choice_may_be_named_by_its_first_word(text):
    assert menu("--step", text).step == "30 degrees"
    assert from_job_options(Menu, {"step": text}).step == "30 degrees"


def test_an_unknown_choice_is_left_to_the_check():
    with pytest.raises(UserError, match="step is '3' but must be one of 30 degrees, 15 degrees"):
        check(menu("--step", "3"))


def test_relions_position_in_the_menu_is_converted():
    assert [menu("--order", n).step for n in ("0", "1")] == ["30 degrees", "15 degrees"]
    assert relion_value(fields_of(Menu)[0], "15 degrees") == "1"
    assert "its --order 0 is 30 degrees" in reference_page(Menu, "menu", "")


@pytest.mark.parametrize("text", ["2", "-1", "1.5", "x"])
def test_a_position_outside_the_menu_is_named(text):
    with pytest.raises(UserError, match=r"--order is .* must be a whole number from 0 to 1"):
        menu(f"--order={text}")
