# SPDX-License-Identifier: Apache-2.0
"""No setting of the command line is lost: it counts, or an error names the nearest that exists."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphmask_core.config import ConfigError, from_dict, load_config, override, to_dict
from training.train import main


def leaves(values, prefix=""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


CONFIG = load_config("tabletop")
PATHS = list(leaves(to_dict(CONFIG)))


@pytest.mark.parametrize(
    ("setting", "nearest"),
    [
        ("trian.lr=5", "train.lr"),
        ("train.augmnt.flip=x", "augment.flip"),
        ("train.loss.pointwise=4", "loss.pointwise"),
        ("data.tabletop.simulatd=3", "data.tabletop.simulated"),
        ("lr=5", "train.lr"),
    ],
)
def test_a_misspelled_setting_names_the_nearest(setting, nearest):
    with pytest.raises(ConfigError, match=f"there is no setting .*; did you mean {nearest}\\?"):
        override(CONFIG, [setting])


@given(st.sampled_from(PATHS), st.integers(0, 30), st.sampled_from("qzw_."))
def test_an_inserted_letter_is_never_ignored(path, place, letter):
    wrong = path[:place] + letter + path[place:]
    with pytest.raises(ConfigError, match="there is no setting"):
        override(CONFIG, [f"{wrong}=1"])


def test_settings_accumulate_and_the_last_one_counts(capsys, tmp_path):
    arguments = ["tabletop", "--set", "train.lr=1", "--set", "train.nothing=1", "-o", str(tmp_path)]
    assert main(arguments) == 2
    assert "train.nothing" in capsys.readouterr().err
    config = override(CONFIG, ["train.lr=1", "train.lr=2e-3", "augment.tilt=0.5"])
    assert (config.train.lr, config.augment.tilt) == (2e-3, 0.5)
    assert main(["tabletop", "--set", "train.lr=-1", "--set", "train.epochs=3", "-o", str(tmp_path)]) == 2
    assert "train.lr: must be more than 0" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "0.001", "1E-3"])
def test_numbers_as_people_write_them(text, tmp_path):
    assert override(CONFIG, [f"train.lr={text}"]).train.lr == 1e-3
    preset = tmp_path / "own.yaml"
    preset.write_text(f"semantic_classes: [floor, thing]\ntrain: {{lr: {text}}}")
    assert load_config(preset).train.lr == 1e-3


@pytest.mark.parametrize(
    "setting", ["train.lr=[", "train.lr=}{", "train.lr=!!python/name:os.system", "train.lr=a: b: c"]
)
def test_what_is_not_yaml_is_one_line(setting):
    with pytest.raises(ConfigError, match=r"--set .*: the value is not YAML") as error:
        override(CONFIG, [setting])
    assert "\n" not in str(error.value)


def test_a_section_is_not_replaced_whole():
    with pytest.raises(ConfigError, match=r"augment is a section; set its keys one by one, as augment\."):
        override(CONFIG, ["augment={flip: x}"])


def test_yaml_with_a_misspelled_key_names_the_nearest(tmp_path):
    preset = tmp_path / "own.yaml"
    preset.write_text("train: {epoch: 3}")
    with pytest.raises(ConfigError, match=r"train.epoch: unknown key; did you mean epochs\?"):
        load_config(preset)


def test_every_setting_can_be_set_to_its_own_value():
    values = to_dict(CONFIG)
    for path in PATHS:
        value = values
        for key in path.split("."):
            value = value[key]
        if not isinstance(value, (tuple, str)):
            assert override(CONFIG, [f"{path}={str(value).lower()}"]) == dataclasses.replace(CONFIG), path


def test_settings_override_the_configuration():
    config = override(load_config("tabletop"), ["train.lr=0.5", "model.rays=[4, 6]", "augment.tilt=1"])
    assert config.train.lr == 0.5 and config.model.rays == (4, 6) and config.augment.tilt == 1.0


@pytest.mark.parametrize(("given", "power"), [(True, 1.0), (False, 0.0), (0.5, 0.5)])
def test_agreement_of_earlier_weights_was_true_or_false(given, power):
    values = to_dict(CONFIG)
    values["inference"]["agreement"] = given
    assert from_dict(values).inference.agreement == power
