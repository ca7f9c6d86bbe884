"""params.yaml is the default and says of every key what it is; whatever is wrong in one is named by its key."""

import re
from itertools import product
from pathlib import Path

import pytest
import yaml

from offbeat.errors import ParamsError
from offbeat.params import CalibrateParams, Params, changed, default_params_path, load_params, parse_changes

PARAMS_FILE = Path(__file__).resolve().parents[1] / "params.yaml"


@pytest.fixture
def write_params(tmp_path):
    """Write the default params with some keys changed, removed (`...`) or added."""

    def write(**sections):
        content = yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))
        for section, values in sections.items():
            if isinstance(values, dict) and section in content:
                content[section] = {k: v for k, v in {**content[section], **values}.items() if v is not ...}
            else:
                content[section] = values
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not ...}), encoding="utf-8")
        return path

    return write


def error_of(path, changes=None):
    with pytest.raises(ParamsError) as caught:
        load_params(path, changes)
    return str(caught.value)


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_at_the_root_is_the_default_and_loads():
    assert default_params_path() == PARAMS_FILE
    content = yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))
    assert load_params().model_dump() == load_params(PARAMS_FILE).model_dump() == content


def test_every_key_of_the_file_has_a_comment():
    lines = PARAMS_FILE.read_text(encoding="utf-8").splitlines()
    keys = [line for line in lines if re.match(r"\s*\w+:", line)]
    assert len(keys) == sum(len(section) + 1 for section in load_params().model_dump().values())
    assert [line for line in keys if not re.search(r"#\s*\w", line)] == []


def test_no_section_has_a_default_of_its_own():
    for section in Params.model_fields.values():
        assert all(field.is_required() for field in section.annotation.model_fields.values())


def test_sections_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_params().train.epochs = 3


# --- changes ----------------------------------------------------------------------------------------------------------


def test_changes_replace_the_values_of_the_file_and_leave_the_rest():
    before, after = load_params().model_dump(), load_params(changes={"train": {"epochs": 3}}).model_dump()
    assert after["train"].pop("epochs") == 3
    before["train"].pop("epochs")
    assert after == before


def test_a_misspelt_change_is_named_with_the_file_it_changes():
    message = error_of(None, {"train": {"epoch": 3}})
    assert message == "params.yaml, with changes: unknown key 'train.epoch': did you mean 'epochs'?"
    assert "unknown key 'trian': did you mean 'train'?" in error_of(None, {"trian": {"epochs": 3}})


def test_a_change_that_is_no_mapping_is_refused():
    assert "section 'train' must be a mapping of keys to values, got 3" in error_of(None, {"train": 3})


def test_changes_to_a_section_that_the_file_does_not_hold_as_one_are_refused(write_params):
    message = error_of(write_params(train=[1, 2]), {"train": {"epochs": 3}})
    assert "section 'train' must be a mapping of keys to values, got [1, 2]" in message


def test_a_changed_section_is_checked_as_the_file_is():
    section = load_params().calibrate
    assert changed(section, {"n_sigmas": 4}) == CalibrateParams(**{**dict(section), "n_sigmas": 4.0})
    with pytest.raises(ParamsError, match=r"unknown key 'calibrate.n_sigma': did you mean 'n_sigmas'\?"):
        changed(section, {"n_sigma": 4})
    with pytest.raises(ParamsError, match=r"calibrate.quantile=1: input should be less than 1"):
        changed(section, {"quantile": 1})
    with pytest.raises(ParamsError, match=r"calibrate.pot_quantile=0.4: input should be greater than or equal to 0.5"):
        changed(section, {"pot_quantile": 0.4})


def test_a_key_may_have_a_value_for_one_channel_and_one_for_several():
    params = load_params(changes={"calibrate": {"stride": {"one": 4, "several": 2}, "delay": 16, "error": "squared"}})
    one, several = params.for_channels(1), params.for_channels(2)
    assert (params.calibrate.stride, one.calibrate.stride, several.calibrate.stride) == (2, 4, 2)
    assert (one.calibrate.delay, one.calibrate.error) == (16, "squared")  # a single value is for both
    assert one.for_channels(1) == one
    assert params.model_dump()["calibrate"]["stride"] == {"one": 4, "several": 2}


def test_a_model_that_estimates_no_whole_windows_takes_the_scores_of_several_channels():
    for model, stride in (("recurrent_forecaster", 1), ("mean", 1), ("sub_pca", 8), ("dense_autoencoder", 8)):
        assert load_params(changes={"train": {"model": model}}).for_channels(1).calibrate.stride == stride


def test_values_for_one_channel_must_fit_together_for_readings_of_one_channel_alone():
    params = load_params(changes={"prepare": {"window_size": {"one": 4, "several": 32}}})
    assert params.for_channels(3).prepare.window_size == 32
    short = load_params(changes={"prepare": {"window_size": 8}})  # for one channel the delay follows the window
    assert short.for_channels(1).calibrate.for_window(8).delay < 16
    with pytest.raises(
        ParamsError, match=r"delay=16 is longer than any window can use.*\(values for several channels\)"
    ):
        short.for_channels(2)
    with pytest.raises(
        ParamsError, match=r"stride=8 must be at most prepare.window_size=4.*\(values for one channel\)"
    ):
        params.for_channels(1)


def test_a_change_names_a_whole_key():
    with pytest.raises(
        ParamsError, match=r"give all of calibrate.stride, such as 'calibrate.stride=\{one: 8, several: 1\}'"
    ):
        parse_changes(["calibrate.stride.one=4"])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"one": 8}, r"calibrate.stride={'one': 8}: give a value, or both one and several"),
        ({"one": 8, "several": 1, "two": 3}, "give a value, or both one and several"),
        ({"one": "x", "several": 1}, "calibrate.stride='x': input should be a valid integer"),
        ({"one": 8, "several": 0}, "calibrate.stride=0: input should be greater than or equal to 1"),
    ],
)
def test_what_is_wrong_in_values_by_channels_is_named(value, said):
    with pytest.raises(ParamsError, match=said):
        load_params(changes={"calibrate": {"stride": value}})


# --- what is wrong in a file ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"train": {"epochz": 3}}, "unknown key 'train.epochz': did you mean 'epochs'?"),
        ({"calibrate": {"xyzzy": 3}}, "unknown key 'calibrate.xyzzy': known are method, false_alarms_per_week,"),
        ({"prepared": {}}, "unknown key 'prepared': did you mean 'prepare'?"),
        ({"train": {"epochs": ...}}, "key 'train.epochs' is missing: this file is the default"),
        ({"evaluate": ...}, "key 'evaluate' is missing"),
        ({"train": {"epochs": "many"}}, "train.epochs='many': input should be a valid integer"),
        ({"train": {"epochs": 3.5}}, "train.epochs=3.5: input should be a valid integer"),
        ({"train": {"epochs": True}}, "train.epochs=True: must not be true or false"),
        ({"train": {"learning_rate": True}}, "train.learning_rate=True: must not be true or false"),
        ({"train": {"learning_rate": "fast"}}, "train.learning_rate='fast': input should be a valid number"),
        ({"train": {"epochs": 0}}, "train.epochs=0: input should be greater than or equal to 1"),
        ({"train": {"learning_rate": 2.0}}, "train.learning_rate=2.0: input should be less than or equal to 1"),
        ({"train": {"clip_norm": float("inf")}}, "train.clip_norm=inf: input should be a finite number"),
        ({"train": {"position_size": 5}}, "train.position_size=5: input should be a multiple of 2"),
        ({"prepare": {"window_size": 0}}, "prepare.window_size=0: input should be greater than or equal to 1"),
        ({"prepare": {"window_size": "auto"}}, "prepare.window_size='auto': input should be a valid integer"),
        ({"prepare": {"transform": "sqrt"}}, "prepare.transform='sqrt': input should be 'none' or 'log'"),
        ({"prepare": {"season": None}}, "prepare.season=None: input should be 'none', 'day' or 'week'"),
        ({"prepare": {"difference": 2}}, "prepare.difference=2: input should be less than or equal to 1"),
        ({"prepare": {"scaling": "max"}}, "prepare.scaling='max': input should be 'standard', 'robust' or 'min_max'"),
        ({"prepare": {"period": 0}}, "prepare.period=0: input should be greater than or equal to 1"),
        ({"calibrate": {"method": "conform"}}, "calibrate.method='conform': input should be 'conformal', 'pot'"),
        ({"calibrate": {"false_alarms_per_week": 0}}, "calibrate.false_alarms_per_week=0: input should be greater"),
        ({"train": 7}, "section 'train' must be a mapping of keys to values, got 7"),
        ({"train": None}, "section 'train' must be a mapping of keys to values, got None"),
        ({"prepare": {"train_share": 0.9, "calibration_share": 0.3}}, "train_share + calibration_share must leave"),
    ],
)
def test_what_is_wrong_is_named_with_file_key_and_value(write_params, sections, said):
    path = write_params(**sections)
    message = error_of(path)
    assert message.startswith(f"{path}: ")
    assert said in message


def test_every_wrong_key_is_named_at_once(write_params):
    message = error_of(write_params(train={"epochs": 0, "seed": -1}, evaluate={"n_components": 0}))
    assert all(key in message for key in ("train.epochs=0", "train.seed=-1", "evaluate.n_components=0"))


def scoring(stride, delay, smoothing, window_size=8):
    calibrate = {"stride": stride, "delay": delay, "smoothing": smoothing}
    return load_params(changes={"prepare": {"window_size": window_size}, "calibrate": calibrate})


def test_the_delay_leaves_time_for_the_stride_beside_half_the_smoothing_and_is_no_longer_than_windows_reach():
    for stride, smoothing in product((1, 2, 3, 8), (1, 2, 5, 20)):
        overlaps = {delay: delay - min(delay, smoothing) // 2 for delay in range(18)}
        right = [delay for delay, overlap in overlaps.items() if stride - 1 <= overlap < 8]
        for delay in overlaps:
            if delay in right:
                scoring(stride, delay, smoothing)
            elif delay < right[0]:
                with pytest.raises(ParamsError, match=f"calibrate.delay={delay} is too short .* at least {right[0]},"):
                    scoring(stride, delay, smoothing)
            else:
                with pytest.raises(ParamsError, match=f"calibrate.delay={delay} is longer .* below {right[-1] + 1},"):
                    scoring(stride, delay, smoothing)


def test_a_stride_beyond_the_window_is_refused():
    with pytest.raises(ParamsError, match=r"calibrate.stride=9 must be at most prepare.window_size=8"):
        scoring(stride=9, delay=8, smoothing=1)


WINDOW = "1 window"


def test_without_a_window_stride_and_delay_fit_every_window_that_may_be_chosen():
    for stride, delay, smoothing in ((1, 16, 16), (9, 16, WINDOW), (16, WINDOW, 1), (16, WINDOW, "0.25 windows")):
        section = scoring(stride, delay, smoothing, window_size=None).calibrate
        for window_size in range(16, 101):
            assert stride - 1 <= section.for_window(window_size).overlap < window_size
    for wrong, said in (
        ((17, WINDOW, 16), "stride=17 must be at most prepare.window_size=16, .*null may choose any from 16 to 100"),
        ((1, 24, 16), "delay=24 is longer than any window can use: lower it below 24,.*null may choose"),
        ((10, 16, WINDOW), "delay=16 is too short for stride 10: it must be at least 17,.*null may choose"),
    ):
        with pytest.raises(ParamsError, match=said):
            scoring(*wrong, window_size=None)


def test_lengths_in_windows_become_timesteps():
    section = scoring(1, "0.75 windows", "0.5 windows", window_size=96).calibrate
    params = section.model_copy(update={"merge_gap": "2 windows"}).for_window(96)
    assert (params.smoothing, params.delay, params.merge_gap) == (48, 72, 192)
    assert type(params) is CalibrateParams
    assert scoring(1, 0, "0.1 windows", window_size=4).calibrate.for_window(4).smoothing == 1  # never none


@pytest.mark.parametrize("window_size", [1, 2, 3, 24, 1000])
def test_a_delay_in_windows_is_moved_to_where_every_stride_and_smoothing_allow(window_size):
    for stride, smoothing in product({1, (window_size + 1) // 2, window_size}, (WINDOW, 1, 7, 5000)):
        for delay in ("0 windows", "0.5 windows", "9 windows"):
            params = scoring(stride, delay, smoothing, window_size).calibrate.for_window(window_size)
            assert stride - 1 <= params.overlap < window_size


@pytest.mark.parametrize("length", ["1", "half a window", "-1 windows", "1 windows or so", "1.5.2 windows"])
def test_a_length_that_is_neither_timesteps_nor_windows_is_named(length):
    said = f"calibrate.smoothing={length!r}: must be a number of timesteps, or of windows such as '0.5 windows'"
    assert error_of(None, {"calibrate": {"smoothing": length}}) == f"params.yaml, with changes: {said}"


# --- parts that do not fit together -----------------------------------------------------------------------------------

RECURSIVE = {"model": "recurrent_forecaster", "strategy": "recursive", "horizon": 3}
FORECASTER = {"model": "recurrent_forecaster", "horizon": 3}


@pytest.mark.parametrize(
    ("train", "calibrate", "said"),
    [
        (RECURSIVE | {"units": [8, 8]}, {}, "strategy=recursive reads its own forecasts with one LSTM layer forward"),
        (RECURSIVE | {"cell": "gru"}, {}, "give one number of units, cell=lstm, direction=forward and output=mean, or"),
        (RECURSIVE | {"direction": "both"}, {}, "direction=forward and output=mean, or strategy=direct"),
        (RECURSIVE | {"output": "quantiles"}, {}, "output=mean, or strategy=direct"),
        (RECURSIVE | {"calendar": "day"}, {}, "strategy=recursive knows no calendar: set calendar=none, or strategy="),
        (FORECASTER | {"horizon": 32}, {}, "train.horizon=32 leaves nothing of a window of 32 timesteps"),
        ({"model": "dense_forecaster", "horizon": 32}, {}, "train.horizon=32 leaves nothing of a window"),
        ({"model": "dense_forecaster", "horizon": 2}, {"stride": 3}, "stride=3 must be at most 2, the timesteps"),
        (
            FORECASTER,
            {"stride": 4},
            "calibrate.stride=4 must be at most 3, the timesteps of a window that train.model=",
        ),
        (
            {"model": "mean"},
            {"stride": 2},
            "stride=2 must be at most 1, the timesteps of a window that train.model=mean",
        ),
        ({"model": "moving_average"}, {"stride": 2}, "stride=2 must be at most 1"),
        ({"model": "last_value"}, {"stride": 2}, "stride=2 must be at most 1"),
        ({"model": "sub_pca", "output": "quantiles"}, {}, "model=sub_pca knows no output=quantiles: only networks do"),
        ({"model": "mean", "calendar": "week"}, {}, "model=mean knows no calendar=week: only networks do"),
        ({"model": "mean"}, {"error": "window"}, "calibrate.error=window is of several readings of a window, and the"),
        ({}, {"error": "interval_score"}, "calibrate.error=interval_score needs a model with an interval around its"),
        (
            {"model": "row_pca"},
            {"error": "interval_width"},
            "set train.output=quantiles or dropout, or calibrate.error=",
        ),
        ({}, {"combine": "whitened", "error": "absolute"}, "combine=whitened is a squared distance (Mahalanobis), and"),
    ],
)
def test_parts_that_do_not_fit_together_are_named_with_a_remedy(train, calibrate, said):
    message = error_of(None, {"train": train, "calibrate": calibrate})
    assert message.startswith("params.yaml, with changes: ")
    assert said in message


@pytest.mark.parametrize(
    ("train", "calibrate"),
    [
        (RECURSIVE | {"units": [8]}, {"stride": 3}),
        ({"strategy": "recursive", "cell": "gru"}, {}),  # which an autoencoder does not look at
        (FORECASTER | {"horizon": 31, "output": "dropout", "calendar": "week"}, {"error": "interval_exceedance"}),
        ({"output": "quantiles", "units": [64, 32]}, {"error": "interval_score", "combine": "max"}),
        ({"horizon": 1000}, {"combine": "whitened"}),  # of forecasters alone
        ({"model": "sub_pca"}, {"stride": 16, "delay": 23}),
        ({"model": "last_value"}, {"error": "absolute", "combine": "max"}),
    ],
)
def test_parts_that_fit_together_are_taken(train, calibrate):
    params = load_params(changes={"train": train, "calibrate": calibrate})
    assert {key: getattr(params.train, key) for key in train} == train


@pytest.mark.parametrize("model", ["moving_average", "last_value"])
def test_what_looks_back_needs_a_window_of_two(model):
    changes = {"train": {"model": model}, "calibrate": {"delay": 0}}
    assert f"train.model={model} needs a prepare.window_size of at least 2" in error_of(
        None, changes | {"prepare": {"window_size": 1}}
    )
    load_params(changes=changes | {"prepare": {"window_size": 2}})


def test_without_a_window_the_shortest_that_may_be_chosen_must_hold_the_horizon():
    for horizon, fits in ((15, True), (16, False)):
        changes = {"train": FORECASTER | {"horizon": horizon}, "prepare": {"window_size": None}}
        if fits:
            load_params(changes=changes)
        else:
            assert "horizon=16 leaves nothing of a window of 16" in error_of(None, changes)


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ([], "train.units=[]: list should have at least 1 item"),
        ([8] * 9, "should have at most 8 items"),
        ([8, 0], "train.units.1=0: input should be greater than or equal to 1"),
        (0, "train.units=0: input should be greater than or equal to 1"),
        ("many", "train.units='many': input should be a valid integer"),
    ],
)
def test_wrong_widths_are_named(units, said):
    message = error_of(None, {"train": {"units": units}})
    assert said in message
    assert "valid integer" not in message or units == "many"


def test_widths_are_a_tuple_whichever_way_they_are_given():
    assert load_params(changes={"train": {"units": 8}}).train.widths == (8,)
    assert load_params(changes={"train": {"units": [8, 4]}}).train.widths == (8, 4)


@pytest.mark.parametrize(
    ("train", "method"),
    [
        ({}, "lstm_autoencoder"),
        ({"cell": "gru"}, "gru_autoencoder"),
        ({"model": "recurrent_forecaster", "cell": "gru"}, "gru_forecaster"),
        ({"model": "dense_autoencoder", "cell": "gru"}, "dense_autoencoder"),
        ({"model": "matrix_profile"}, "matrix_profile"),
    ],
)
def test_a_method_is_named_by_its_model_and_a_recurrent_one_by_its_cell(train, method):
    assert load_params(changes={"train": train}).train.method == method


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"train: [1", "not a readable YAML file"),
        (b"clip: 3 \xe9\n", "not a readable YAML file"),
        (b"", "must hold sections prepare, train, calibrate, evaluate, drift, got NoneType"),
        (b"- 1\n", "must hold sections prepare, train, calibrate, evaluate, drift, got list"),
    ],
)
def test_a_file_that_is_no_params_file_is_named(tmp_path, content, said):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    message = error_of(path)
    assert message.startswith(f"{path}: ")
    assert said in message


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "nowhere.yaml: not a readable YAML file" in error_of(tmp_path / "nowhere.yaml")


def test_lead_and_overlap_share_the_delay():
    # half of the delay goes to the mean that smooths, at most half of the mean; the rest to windows that end later
    for delay, smoothing in product(range(12), range(1, 12)):
        section = load_params(changes={"calibrate": {"stride": 1, "delay": delay, "smoothing": smoothing}}).calibrate
        params = section.for_window(32)
        assert params.lead == min(delay // 2, smoothing // 2)
        assert params.lead + params.overlap == delay
