"""params.yaml as frozen sections: the one border where parameters are checked.

The file is the default. A section has none of its own, so that no value hides in code.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from offbeat.errors import ParamsError

Count = Annotated[int, Field(ge=1, strict=True)]
Size = Annotated[int, Field(ge=1, le=1024, strict=True)]
Positive = Annotated[float, Field(gt=0)]
WindowSize = Annotated[int, Field(ge=1, le=1000, strict=True)]
CHOSEN_WINDOWS = (16, 100)  # timesteps; the smallest and the largest that `window_size: null` may come to
# in the places that pydantic names, beside the keys
UNION_ARMS = ("str", "int", "constrained-int", "constrained-str", "list[constrained-int]")


class Section(BaseModel):
    """A section of params.yaml: frozen, and every key known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_truth_value(cls, value: Any) -> Any:
        # YAML reads yes, no, on and off as true and false, and true would pass for 1.0
        if isinstance(value, bool):
            raise PydanticCustomError("truth_value", "must not be true or false")
        return value


BY_CHANNELS = {"one", "several"}  # channels


class ByChannels(Section):
    """A section whose values may be given for readings of one channel and of several: `{one: 8, several: 1}`.

    The section itself is that of several channels.
    """

    _one: Self | None = PrivateAttr(None)

    def for_channels(self, n_channels: int) -> Self:
        """Return the section of readings of so many channels."""
        return self._one if n_channels == 1 and self._one is not None else self

    @model_validator(mode="wrap")
    @classmethod
    def _split(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Make a section for several channels, and one for one channel where they differ."""
        if not isinstance(values, Mapping):
            return handler(values)
        given = {key: value for key, value in values.items() if isinstance(value, Mapping)}
        for key, value in given.items():
            if set(value) != BY_CHANNELS:
                raise PydanticCustomError("by_channels", f"{key}={value!r}: give a value, or both one and several")
        section = handler({**values, **{key: value["several"] for key, value in given.items()}})
        if given:
            section._one = handler({**values, **{key: value["one"] for key, value in given.items()}})
        return section

    @model_serializer(mode="wrap")
    def _join(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        several: dict[str, Any] = handler(self)
        one = several if self._one is None else handler(self._one)
        return {
            key: value if one[key] == value else {"one": one[key], "several": value} for key, value in several.items()
        }


class Preprocessing(Section):
    """What is done to readings before a network sees them, in this order."""

    transform: Literal["none", "log"]
    season: Literal["none", "day", "week"]
    difference: Annotated[int, Field(ge=0, le=1, strict=True)]
    scaling: Literal["standard", "robust", "min_max"]
    clip: Annotated[float, Field(ge=1, le=1000)]


class _Prepare(Preprocessing):
    """What a `prepare` section and its settled form share."""

    period: str | Count | None
    max_gap: Annotated[int, Field(ge=0, strict=True)]
    train_share: Annotated[float, Field(ge=0.1, le=0.9)]
    calibration_share: Annotated[float, Field(ge=0.05, le=0.9)]
    held_out_share: Annotated[float, Field(ge=0.05, le=0.5)]

    @property
    def preprocessing(self) -> Preprocessing:
        """The keys that say what is done to readings, alone."""
        return Preprocessing.model_validate({key: getattr(self, key) for key in Preprocessing.model_fields})

    @model_validator(mode="after")
    def _shares_leave_a_test_span(self) -> Self:
        if self.train_share + self.calibration_share > 0.99:
            raise ValueError(
                f"train_share + calibration_share must leave a test span, at most 0.99 together, "
                f"got {self.train_share + self.calibration_share:g}"
            )
        return self


class PrepareParams(_Prepare):
    """How readings become scaled series, spans and windows."""

    window_size: WindowSize


class PrepareSection(_Prepare, ByChannels):
    """The section `prepare`: null leaves the window to `window_choice.choose_window`."""

    window_size: WindowSize | None

    def with_window(self, window_size: int) -> PrepareParams:
        """Return the same with a window."""
        return PrepareParams.model_validate({**dict(self), "window_size": window_size})


FORECASTERS = ("recurrent_forecaster", "dense_forecaster")
TRAINED = ("recurrent_autoencoder", "dense_autoencoder", *FORECASTERS)  # in steps; the others at once
WARM_RATE = 0.2  # of the learning rate, where a training starts from the weights of another
ONE_STEP = ("row_pca", "moving_average", "last_value", "mean")  # estimate the last timestep of a window alone


class TrainParams(Section):
    """The model and its training."""

    model: Literal[
        "recurrent_autoencoder",
        "recurrent_forecaster",
        "dense_autoencoder",
        "dense_forecaster",
        "row_pca",
        "sub_pca",
        "nearest_windows",
        "matrix_profile",
        "moving_average",
        "last_value",
        "mean",
    ]
    cell: Literal["lstm", "gru"]
    direction: Literal["forward", "both"]
    units: Size | Annotated[list[Size], Field(min_length=1, max_length=8)]
    latent_size: Size
    linear_size: Annotated[int, Field(ge=0, le=1024, strict=True)]
    linear_scope: Literal["timestep", "window"]
    position_size: Annotated[int, Field(ge=2, le=64, multiple_of=2, strict=True)]
    horizon: Annotated[int, Field(ge=1, le=1000, strict=True)]
    strategy: Literal["direct", "recursive"]
    output: Literal["mean", "quantiles", "dropout"]
    dropout: Annotated[float, Field(gt=0, lt=1)]
    calendar: Literal["none", "day", "week"]
    n_neighbours: Annotated[int, Field(ge=1, le=100, strict=True)]
    noise: Annotated[float, Field(ge=0, le=10)]
    trim_share: Annotated[float, Field(ge=0, le=0.5)]
    epochs: Annotated[int, Field(ge=1, le=10_000, strict=True)]
    steps_per_epoch: Annotated[int, Field(ge=1, le=100_000, strict=True)]
    batch_size: Annotated[int, Field(ge=1, le=4096, strict=True)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    clip_norm: Positive
    patience: Count
    warm_epochs: Annotated[int, Field(ge=1, le=10_000, strict=True)] | None
    warm_limit: Count
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)]

    @property
    def widths(self) -> tuple[int, ...]:
        """Cells of each layer of the encoder."""
        return tuple(self.units) if isinstance(self.units, list) else (self.units,)

    @property
    def method(self) -> str:
        """The model's name beside others: an LSTM and a GRU are two methods."""
        return self.model.replace("recurrent", self.cell)

    @property
    def is_trained(self) -> bool:
        """Whether the model is a network that learns in steps, and not fitted at once."""
        return self.model in TRAINED

    @property
    def needs_new_weights(self) -> str:
        """Why a training starts from new weights whatever there is to start from; empty if it need not."""
        if not self.is_trained:
            return f"train.model={self.model} is fitted at once"
        return "train.warm_epochs is null" if self.warm_epochs is None else ""

    @property
    def warm(self) -> Self:
        """The same for a training that starts from weights that are nearly right: shorter, in smaller steps."""
        assert self.warm_epochs is not None, "the caller asks needs_new_weights first"
        rate = WARM_RATE * self.learning_rate
        return self.model_copy(update={"epochs": self.warm_epochs, "learning_rate": rate})

    @property
    def reconstructs(self) -> bool:
        """Whether the model estimates whole windows."""
        return self.model not in (*FORECASTERS, *ONE_STEP)

    def n_estimated(self, window_size: int) -> int:
        """Return of how many timesteps, the last of a window, the model gives estimates."""
        if self.model in FORECASTERS:
            return self.horizon
        return 1 if self.model in ONE_STEP else window_size

    @model_validator(mode="after")
    def _parts_fit_together(self) -> TrainParams:
        if self.model == "recurrent_forecaster" and self.strategy == "recursive":
            if len(self.widths) > 1 or self.cell != "lstm" or self.direction != "forward" or self.output != "mean":
                raise ValueError(
                    "strategy=recursive reads its own forecasts with one LSTM layer forward: give one number of units, "
                    "cell=lstm, direction=forward and output=mean, or strategy=direct"
                )
            if self.calendar != "none":
                raise ValueError("strategy=recursive knows no calendar: set calendar=none, or strategy=direct")
        if not self.is_trained:
            for key in ("output", "calendar"):
                if getattr(self, key) != {"output": "mean", "calendar": "none"}[key]:
                    raise ValueError(f"model={self.model} knows no {key}={getattr(self, key)}: only networks do")
        return self


class _Calibrate(Section):
    """What a `calibrate` section and its settled form share."""

    method: Literal["conformal", "pot", "quantile", "sigma", "dynamic", "labelled", "gaussian_epsilon"]
    false_alarms_per_week: Positive
    false_alarms_per_10000_timesteps: Positive
    pot_quantile: Annotated[float, Field(ge=0.5, lt=1)]
    quantile: Annotated[float, Field(gt=0, lt=1)]
    n_sigmas: Positive
    error: Literal["squared", "absolute", "window", "interval_score", "interval_width", "interval_exceedance"]
    combine: Literal["mean", "max", "whitened"]
    error_floor: Annotated[float, Field(ge=0)]
    margin: Annotated[float, Field(ge=1, le=100)]
    stride: Count

    @property
    def is_interval(self) -> bool:
        """Whether errors need a model that says how sure it is."""
        return self.error.startswith("interval")

    @model_validator(mode="after")
    def _errors_can_be_whitened(self) -> Self:
        if self.combine == "whitened" and self.error != "squared":
            raise ValueError(
                f"combine=whitened is a squared distance (Mahalanobis), and error is {self.error}: set error=squared, "
                "or combine=mean"
            )
        return self


class CalibrateParams(_Calibrate):
    """How errors become scores, and scores of normal readings a threshold."""

    delay: Annotated[int, Field(ge=0, strict=True)]
    smoothing: Count
    merge_gap: Annotated[int, Field(ge=0, strict=True)]

    @property
    def lead(self) -> int:
        """Timesteps after t in the mean that smooths the score at t: half of the delay, at most half of the mean."""
        return min(self.delay, self.smoothing) // 2

    @property
    def overlap(self) -> int:
        """Timesteps after t by which a window must have ended to vote on the error at t: the rest of the delay."""
        return self.delay - self.lead


WINDOWS = re.compile(r"(\d+(?:\.\d+)?) windows?")  # a length in windows, such as 2 windows or 0.5 windows
InWindows = Annotated[str, Field(pattern=f"^{WINDOWS.pattern}$")]


class CalibrateSection(_Calibrate, ByChannels):
    """The section `calibrate`: lengths may be given in windows."""

    delay: Annotated[int, Field(ge=0, strict=True)] | InWindows
    smoothing: Count | InWindows
    merge_gap: Annotated[int, Field(ge=0, strict=True)] | InWindows

    def for_model(self, train: TrainParams, n_channels: int) -> Self:
        """Return the section of readings of so many channels; that of several unless the model estimates windows."""
        return self.for_channels(n_channels) if train.reconstructs else self

    def for_window(self, window_size: int) -> CalibrateParams:
        """Return the same with all lengths in timesteps.

        A delay in windows is moved into the range that stride and window allow.

        Raises
        ------
        ParamsError
            If stride or delay do not fit the window.
        """
        smoothing = max(1, _timesteps(self.smoothing, window_size))
        least, most = _delay_range(self.stride, smoothing, window_size)
        if self.stride > window_size:
            raise ParamsError(
                f"calibrate.stride={self.stride} must be at most prepare.window_size={window_size}, "
                "or readings between windows are never scored"
            )
        delay = _timesteps(self.delay, window_size)
        if isinstance(self.delay, str):
            delay = min(max(delay, least), most)
        if delay < least:
            raise ParamsError(
                f"calibrate.delay={delay} is too short for stride {self.stride}: it must be at least {least}, "
                "so that a window ends in time for every reading: raise it, or lower calibrate.stride"
            )
        if delay > most:
            raise ParamsError(
                f"calibrate.delay={delay} is longer than any window can use: lower it below {most + 1}, "
                "or raise prepare.window_size"
            )
        settled = {"delay": delay, "smoothing": smoothing, "merge_gap": _timesteps(self.merge_gap, window_size)}
        return CalibrateParams.model_validate({**dict(self), **settled})


def _timesteps(length: int | str, window_size: int) -> int:
    """Return a length in timesteps, given in those or in windows."""
    if isinstance(length, int):
        return length
    found = WINDOWS.fullmatch(length)
    assert found is not None, "the section's pattern was checked"
    return round(float(found[1]) * window_size)


def _delay_range(stride: int, smoothing: int, window_size: int) -> tuple[int, int]:
    """Return the shortest and the longest delay whose `overlap` lies from stride - 1 to window_size - 1."""
    half = smoothing // 2  # the lead is the lesser of this and half of the delay
    return max(0, stride - 1 + min(stride - 2, half)), window_size - 1 + min(window_size - 1, half)


class EvaluateParams(Section):
    """What the metrics and the baselines need."""

    max_buffer: Count | None
    n_components: Count
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)]


class DriftParams(Section):
    """When later readings count as other than those that a model was made from."""

    days: Annotated[float, Field(gt=0, le=366)]
    timesteps: Count
    false_share: Annotated[float, Field(gt=0, le=0.5)]
    least_change: Positive
    fault_share: Annotated[float, Field(gt=0, le=1)]
    regime_share: Annotated[float, Field(gt=0, le=1)]


class Params(Section):
    """All sections."""

    prepare: PrepareSection
    train: TrainParams
    calibrate: CalibrateSection
    evaluate: EvaluateParams
    drift: DriftParams

    @property
    def min_days(self) -> float:
        """Days of readings that each asset needs, so that its calibration span can promise the false-alarm budget."""
        return 7 / self.calibrate.false_alarms_per_week / self.prepare.calibration_share

    def for_channels(self, n_channels: int) -> Self:
        """Return the same for readings of so many channels.

        Raises
        ------
        ParamsError
            If the parts do not fit together then.
        """
        try:
            return self._settled(n_channels)._checked()
        except ValueError as error:
            raise ParamsError(
                f"{error} (values for {'one channel' if n_channels == 1 else 'several channels'})"
            ) from error

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        """Refuse what fits together neither for one channel nor for several; which of them it is shows later."""
        try:
            return self._checked()
        except ValueError as error:
            try:
                self._settled(1)._checked()
            except ValueError:
                raise error from None
        return self

    def _settled(self, n_channels: int) -> Self:
        calibrate = self.calibrate.for_model(self.train, n_channels)
        return self.model_copy(update={"prepare": self.prepare.for_channels(n_channels), "calibrate": calibrate})

    def _checked(self) -> Self:
        self._check_windows()
        self._check_model()
        return self

    def _check_windows(self) -> None:
        window_size = self.prepare.window_size
        # what fits both of the ends fits every window between them
        for size in CHOSEN_WINDOWS if window_size is None else (window_size,):
            try:
                self.calibrate.for_window(size)
            except ParamsError as error:
                hint = f" (null may choose any from {CHOSEN_WINDOWS[0]} to {CHOSEN_WINDOWS[1]})"
                raise ValueError(f"{error}{hint if window_size is None else ''}") from error

    def _check_model(self) -> None:
        train, window_size = self.train, self.prepare.window_size or CHOSEN_WINDOWS[0]
        if train.model in FORECASTERS and train.horizon >= window_size:
            raise ValueError(
                f"train.horizon={train.horizon} leaves nothing of a window of {window_size} timesteps to forecast "
                "from: lower it, or raise prepare.window_size"
            )
        if train.model in ("moving_average", "last_value") and window_size < 2:
            raise ValueError(f"train.model={train.model} needs a prepare.window_size of at least 2")
        if self.calibrate.stride > train.n_estimated(window_size):
            raise ValueError(
                f"calibrate.stride={self.calibrate.stride} must be at most {train.n_estimated(window_size)}, the "
                f"timesteps of a window that train.model={train.model} estimates"
                f"{' (train.horizon)' if train.model in FORECASTERS else ''}, or readings between them are "
                "never scored"
            )
        if self.calibrate.error == "window" and train.n_estimated(window_size) == 1:
            raise ValueError(
                "calibrate.error=window is of several readings of a window, and the model estimates one: set "
                "calibrate.error=squared"
            )
        if self.calibrate.is_interval and (train.output == "mean" or not train.is_trained):
            raise ValueError(
                f"calibrate.error={self.calibrate.error} needs a model with an interval around its estimates: set "
                "train.output=quantiles or dropout, or calibrate.error=squared"
            )


def default_params_path() -> Path:
    """Return the packaged params.yaml, or in a checkout the one at its root."""
    packaged = Path(__file__).with_name("params.yaml")
    return packaged if packaged.exists() else Path(__file__).parents[2] / "params.yaml"


def load_params(path: Path | None = None, changes: Mapping[str, Mapping[str, Any]] | None = None) -> Params:
    """Return the checked parameters of a file, with some values changed.

    Parameters
    ----------
    path : Path, optional
        A params.yaml; the packaged one by default.
    changes : mapping of section to mapping of key to value, optional
        Values that replace the file's.

    Raises
    ------
    ParamsError
        Naming the file and the key: unknown, missing, of the wrong type or out of range.
    """
    path = path or default_params_path()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParamsError(f"{path}: not a readable YAML file: {error}") from error
    if not isinstance(content, dict):
        raise ParamsError(f"{path}: must hold sections {', '.join(Params.model_fields)}, got {type(content).__name__}")
    merged = dict(content)
    for section, values in (changes or {}).items():
        if not isinstance(values, Mapping):
            raise ParamsError(f"params: section '{section}' must be a mapping of keys to values, got {values!r}")
        held = content.get(section, {})
        merged[section] = {**held, **values} if isinstance(held, Mapping) else held
    try:
        return Params.model_validate(merged)
    except ValidationError as error:
        source = f"{path.name}, with changes" if changes else str(path)
        raise ParamsError(f"{source}: {_explain(error)}") from error


def parse_changes(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the changes that texts such as `train.epochs=3` ask for, values read as YAML.

    Raises
    ------
    ParamsError
        If a text is not of that form.
    """
    changes: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        section, dot, key = name.partition(".")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ParamsError(f"'{text}': the value is not readable: {error}") from error
        if not (equals and dot and key):
            raise ParamsError(f"'{text}': give section.key=value, such as train.epochs=3")
        if "." in key:
            whole = f"{section}.{key.partition('.')[0]}"
            raise ParamsError(f"'{text}': give all of {whole}, such as '{whole}={{one: 8, several: 1}}'")
        changes.setdefault(section, {})[key] = parsed
    return changes


def changed(section: CalibrateParams, changes: Mapping[str, Any]) -> CalibrateParams:
    """Return a section with some values changed.

    Raises
    ------
    ParamsError
        If a key is unknown or a value out of range.
    """
    try:
        return CalibrateParams.model_validate({**dict(section), **changes})
    except ValidationError as error:
        raise ParamsError(_explain(error, "calibrate")) from error


def _explain(error: ValidationError, *within: str) -> str:
    """Return one phrase per wrong key, the nearest known name beside a misspelt one."""
    items = error.errors()
    in_windows = {item["loc"][:-1] for item in items if item["type"] == "string_pattern_mismatch"}
    return "; ".join(
        _explain_one((*within, *item["loc"]), item["type"], item["msg"], item["input"])
        for item in items
        # of a list or a length in windows, where a number may stand too, only what is wrong as that
        if item["loc"][-1:] != ("constrained-int",)
        or not (isinstance(item["input"], list) or item["loc"][:-1] in in_windows)
    )


def _explain_one(loc: tuple[int | str, ...], kind: str, message: str, value: Any) -> str:
    name = ".".join(str(part) for part in loc if part not in UNION_ARMS)
    if kind == "extra_forbidden":
        known = _known_keys(loc)
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        return f"unknown key '{name}': " + (f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}")
    if kind == "missing":
        return f"key '{name}' is missing: this file is the default, so every key must stand in it"
    if kind == "string_pattern_mismatch":
        return f"{name}={value!r}: must be a number of timesteps, or of windows such as '0.5 windows'"
    if kind == "by_channels":
        return f"{name}.{message}"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if kind == "model_type":
        return f"section '{name}' must be a mapping of keys to values, got {value!r}"
    return f"{name}={value!r}: {message[0].lower()}{message[1:]}"


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    if len(loc) == 1:
        return list(Params.model_fields)
    section: Any = Params.model_fields[str(loc[0])].annotation
    return list(section.model_fields)
