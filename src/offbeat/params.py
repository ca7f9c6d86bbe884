"""params.yaml as frozen sections: the one border where parameters are checked.

The file is the default. A section has none of its own, so that no value hides in code.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from offbeat.errors import ParamsError

Count = Annotated[int, Field(ge=1, strict=True)]
Positive = Annotated[float, Field(gt=0)]
WindowSize = Annotated[int, Field(ge=1, le=1000, strict=True)]
CHOSEN_WINDOWS = (24, 128)  # timesteps; the smallest and the largest that `window_size: null` may come to


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
        return Preprocessing.model_validate(self.model_dump(include=set(Preprocessing.model_fields)))

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


class PrepareSection(_Prepare):
    """The section `prepare`: null leaves the window to `window_choice.choose_window`."""

    window_size: WindowSize | None

    def with_window(self, window_size: int) -> PrepareParams:
        """Return the same with a window."""
        return PrepareParams.model_validate({**self.model_dump(), "window_size": window_size})


class TrainParams(Section):
    """The network and its training."""

    units: Annotated[int, Field(ge=1, le=1024, strict=True)]
    latent_size: Annotated[int, Field(ge=1, le=1024, strict=True)]
    linear_size: Annotated[int, Field(ge=0, le=1024, strict=True)]
    position_size: Annotated[int, Field(ge=2, le=64, multiple_of=2, strict=True)]
    epochs: Annotated[int, Field(ge=1, le=10_000, strict=True)]
    steps_per_epoch: Annotated[int, Field(ge=1, le=100_000, strict=True)]
    batch_size: Annotated[int, Field(ge=1, le=4096, strict=True)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    clip_norm: Positive
    patience: Count
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)]


class _Calibrate(Section):
    """What a `calibrate` section and its settled form share."""

    method: Literal["conformal", "quantile", "sigma"]
    false_alarms_per_week: Positive
    false_alarms_per_10000_timesteps: Positive
    quantile: Annotated[float, Field(gt=0, lt=1)]
    n_sigmas: Positive
    stride: Count


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


class CalibrateSection(_Calibrate):
    """The section `calibrate`: null follows the window."""

    delay: Annotated[int, Field(ge=0, strict=True)] | None
    smoothing: Count | None
    merge_gap: Annotated[int, Field(ge=0, strict=True)] | None

    def for_window(self, window_size: int) -> CalibrateParams:
        """Return the same with numbers in place of nulls.

        Raises
        ------
        ParamsError
            If stride or delay do not fit the window.

        Notes
        -----
        Null is for `smoothing` a window; for `delay` half of smoothing and a quarter of a window, moved into the range
        that stride and window allow; for `merge_gap` as much as smoothing.
        """
        smoothing = window_size if self.smoothing is None else self.smoothing
        least, most = _delay_range(self.stride, smoothing, window_size)
        if self.stride > window_size:
            raise ParamsError(
                f"calibrate.stride={self.stride} must be at most prepare.window_size={window_size}, "
                "or readings between windows are never scored"
            )
        delay = min(max(smoothing // 2 + window_size // 4, least), most) if self.delay is None else self.delay
        if delay < least:
            raise ParamsError(
                f"calibrate.delay={delay} is too short for stride {self.stride}: it must be at least {least}, "
                "so that a window ends in time for every reading"
            )
        if delay > most:
            raise ParamsError(
                f"calibrate.delay={delay} is longer than any window can use: lower it below {most + 1}, "
                "or raise prepare.window_size"
            )
        merge_gap = smoothing if self.merge_gap is None else self.merge_gap
        settled = {"delay": delay, "smoothing": smoothing, "merge_gap": merge_gap}
        return CalibrateParams.model_validate({**self.model_dump(), **settled})


def _delay_range(stride: int, smoothing: int, window_size: int) -> tuple[int, int]:
    """Return the shortest and the longest delay whose `overlap` lies from stride - 1 to window_size - 1."""
    half = smoothing // 2  # the lead is the lesser of this and half of the delay
    return max(0, stride - 1 + min(stride - 2, half)), window_size - 1 + min(window_size - 1, half)


class EvaluateParams(Section):
    """What the metrics and the baselines need."""

    max_buffer: Count | None
    n_components: Count
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)]


class Params(Section):
    """All sections."""

    prepare: PrepareSection
    train: TrainParams
    calibrate: CalibrateSection
    evaluate: EvaluateParams

    @property
    def min_days(self) -> float:
        """Days of readings that each asset needs, so that its calibration span can promise the false-alarm budget."""
        return 7 / self.calibrate.false_alarms_per_week / self.prepare.calibration_share

    @model_validator(mode="after")
    def _windows_fit_stride_and_delay(self) -> Params:
        window_size = self.prepare.window_size
        # what fits both of the ends fits every window between them
        for size in CHOSEN_WINDOWS if window_size is None else (window_size,):
            try:
                self.calibrate.for_window(size)
            except ParamsError as error:
                hint = f" (null may choose any from {CHOSEN_WINDOWS[0]} to {CHOSEN_WINDOWS[1]})"
                raise ValueError(f"{error}{hint if window_size is None else ''}") from error
        return self


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
        return CalibrateParams.model_validate({**section.model_dump(), **changes})
    except ValidationError as error:
        raise ParamsError(_explain(error, "calibrate")) from error


def _explain(error: ValidationError, *within: str) -> str:
    """Return one phrase per wrong key, the nearest known name beside a misspelt one."""
    return "; ".join(
        _explain_one((*within, *item["loc"]), item["type"], item["msg"], item["input"]) for item in error.errors()
    )


def _explain_one(loc: tuple[int | str, ...], kind: str, message: str, value: Any) -> str:
    name = ".".join(str(part) for part in loc if part not in ("str", "constrained-int", "int"))
    if kind == "extra_forbidden":
        known = _known_keys(loc)
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        return f"unknown key '{name}': " + (f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}")
    if kind == "missing":
        return f"key '{name}' is missing: this file is the default, so every key must stand in it"
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
