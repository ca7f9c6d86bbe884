"""Settings to a comparison: each trained on the same readings, then judged on the same injected events.

For where no label tells which settings are better.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from offbeat.errors import OffbeatError, ParamsError
from offbeat.evaluation.comparison import Candidate, Comparison, compare
from offbeat.params import EvaluateParams, Params, default_params_path, load_params, parse_changes
from offbeat.preparation import lesson_of_all, prepare_fleet
from offbeat.progress import Report, Step, silent
from offbeat.readings.folder import Folder
from offbeat.training import Fitted, fit_fleet, load_trainer
from offbeat.window_choice import choose_window

SAME = (("prepare", "period"), ("prepare", "max_gap"), *(("evaluate", key) for key in EvaluateParams.model_fields))


def compare_settings(
    folder: Folder, settings: Mapping[str, Params], seed: int, *, report: Report = silent
) -> Comparison:
    """Train every candidate on the same readings and compare them.

    Parameters
    ----------
    folder : Folder
        Its labels and exclusions are kept out of training, and of the normal rows that take the injected events.
    settings : mapping of name to Params
        Two or more. PCA and the untrained network beside them take the first.
    seed : int
        Of the injected events.
    report : callable, optional
        Takes each `Step` of every candidate, and of the comparison.

    Raises
    ------
    ParamsError
        If there is one candidate alone, two of them are the same, or they read or judge the readings in different ways.
    OffbeatError
        If a candidate does not fit the readings; all are prepared before the first is trained.
    """
    check_settings(settings)
    for name, params in settings.items():
        with _naming(name):
            lesson_of_all(prepare_fleet(folder, choose_window(folder, params.prepare)[0]), params.train.calendar)
    load_trainer()  # so that the seconds of the first do not count it
    first = next(iter(settings))
    fitted: dict[str, Fitted] = {}
    seconds: dict[str, float] = {}
    for number, (name, params) in enumerate(settings.items(), start=1):

        def of_candidate(step: Step, which: str = f"candidate {number} of {len(settings)}") -> None:
            report(replace(step, work=f"{which}: {step.work}"))

        begin = time.perf_counter()
        with _naming(name):
            fitted[name] = fit_fleet(folder, params, report=of_candidate)
        seconds[name] = time.perf_counter() - begin
    candidates = [Candidate(name, one.detector, one.fleet, seconds[name]) for name, one in fitted.items()]
    comparison = compare(candidates, fitted[first].untrained, settings[first].evaluate, seed, report)
    return replace(comparison, notes=[*_notes(fitted), *comparison.notes])


def settings_of(base: Path | None, others: Sequence[str], changes: Sequence[str] = ()) -> dict[str, Params]:
    """Return the candidates that a command line names, the base first.

    Parameters
    ----------
    base : Path or None
        A params.yaml; the packaged one by default. Its name is the candidate's.
    others : sequence of str
        Each names one more candidate: a params file that ends in .yaml or .yml, or changes to the base, such as
        ``train.latent_size=4 train.epochs=20``.
    changes : sequence of str
        Of all candidates, each such as ``prepare.max_gap=3``; those of a candidate's own go over them.

    Raises
    ------
    ParamsError
        If a file or a change is wrong, or two candidates have the same name.
    """
    first = str(base or default_params_path().name)
    settings = {first: load_params(base, parse_changes(changes))}
    for text in others:
        if text in settings:
            raise ParamsError(f"candidate '{text}' is given twice: give each another name or other changes")
        with _naming(text):
            if text.endswith((".yaml", ".yml")):
                settings[text] = load_params(Path(text), parse_changes(changes))
            else:
                settings[text] = load_params(base, parse_changes([*changes, *_words(text)]))
    return settings


def check_settings(settings: Mapping[str, Params]) -> None:
    """Raise ParamsError unless the candidates differ, and read and judge readings in the same way."""
    (first, base), *others = settings.items()
    if not others:
        raise ParamsError(f"only '{first}' to compare: give another candidate with --with")
    for name, params in others:
        for section, key in SAME:
            own, theirs = (getattr(getattr(one, section), key) for one in (params, base))
            if own != theirs:
                raise ParamsError(
                    f"candidate '{name}': {section}.{key}={own} where '{first}' has {theirs}: all are compared on "
                    "the same readings by the same measure, so change it for all of them (-S)"
                )
    for (name, params), (other, same) in combinations(settings.items(), 2):
        if params == same:
            raise ParamsError(f"candidates '{name}' and '{other}' have the same parameters: give one of them")


def _notes(fitted: Mapping[str, Fitted]) -> list[str]:
    """Return what is to know of the readings, and what was chosen for each candidate; once where it is true of all."""
    notes = dict.fromkeys(note for one in fitted.values() for note in one.notes)
    told = []
    for note in notes:
        those = [name for name, one in fitted.items() if note in one.notes]
        told.append(note if len(those) == len(fitted) else f"{', '.join(those)}: {note}")
    return told


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Tell in an error which candidate it is about."""
    try:
        yield
    except OffbeatError as error:
        raise type(error)(f"candidate '{name}': {error}") from error


def _words(text: str) -> list[str]:
    """Return the changes of a text; quotes keep a value with spaces together."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ParamsError(f"not readable: {error}") from error
    if not words:
        raise ParamsError("nothing is changed: give section.key=value, such as train.epochs=20, or a params file")
    return words
