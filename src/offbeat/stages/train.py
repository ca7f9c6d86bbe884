"""artifacts/prepared/ and start/ to artifacts/model/: one model over all assets, as ONNX and, a network, Keras file."""

from __future__ import annotations

import json
from pathlib import Path

from offbeat.errors import StartError
from offbeat.files import new_directory, write_csv, write_json
from offbeat.models.network import Trained, train_model
from offbeat.params import PrepareParams, TrainParams
from offbeat.preparation import Prepared, lesson_of_all
from offbeat.progress import Report, silent
from offbeat.reporting import learning_warning
from offbeat.stages.artifacts import MODEL, PREPARED, read_prepared
from offbeat.starting import START, Start, read_start


def run(train: TrainParams, *, root: Path, report: Report = silent) -> list[str]:
    """Train on the prepared windows; return what to tell the person who runs it.

    A start that does not fit is left, with a word: the flow chose it before the readings were prepared.
    """
    fleet, card = read_prepared(root / PREPARED)
    start, prepare = read_start(root / START), PrepareParams.model_validate(card["prepare"])
    lines = []
    try:
        trained = _trained(fleet, prepare, train, start, report)
    except StartError as error:
        lines.append(f"training from new weights: {error}")
        start = None
        trained = _trained(fleet, prepare, train, start, report)
    with new_directory(root / MODEL) as scratch:
        (scratch / "model.onnx").write_bytes(trained.graph)
        if trained.keras_model is not None and trained.untrained_graph is not None:
            trained.keras_model.save(scratch / "model.keras")
            (scratch / "untrained.onnx").write_bytes(trained.untrained_graph)
        (scratch / "train.json").write_text(json.dumps(train.model_dump(), indent=1) + "\n", encoding="utf-8")
        rows = [(e.epoch, e.loss, e.held_out_loss, e.learning_rate) for e in trained.epochs]
        write_csv(scratch / "loss.csv", ("epoch", "loss", "held_out_loss", "learning_rate"), rows)
        write_json(scratch / "training.json", _metrics(trained, start, card["channels"]))
    explained = f"{trained.overall_explained_variance:.1%} of the variance of held-out normal readings"
    how = f"{len(trained.epochs)} epochs; the network" if train.is_trained else f"{train.model}, fitted at once,"
    if start is not None:
        lines.append(_gone_on(trained, start))
    lines.append(f"{how} explains {explained}")
    if trained.n_trimmed:
        which = "a second" if start is None else "the"
        lines.append(f"the worst-reconstructed {trained.n_trimmed} windows were left out of {which} training")
    warning = learning_warning(trained.overall_explained_variance)
    return [*lines, f"warning: {warning}"] if warning else lines


def _trained(
    fleet: list[Prepared], prepare: PrepareParams, train: TrainParams, start: Start | None, report: Report
) -> Trained:
    graph = None if start is None else start.graph_for(fleet[0].series, prepare)
    return train_model(lesson_of_all(fleet, train.calendar), prepare.window_size, train, report, graph)


def _gone_on(trained: Trained, start: Start) -> str:
    begin = f"went on from the weights of model {start.version}, held-out loss {trained.start_loss:.4f}"
    if trained.held_out_loss == trained.start_loss:
        return f"{begin}, and none were better: they stay"
    return f"{begin}, now {trained.held_out_loss:.4f}"


def _metrics(trained: Trained, start: Start | None, channels: list[str]) -> dict[str, object]:
    best = min(trained.epochs, key=lambda epoch: epoch.held_out_loss, default=None)
    begin = {} if start is None else {"start": start.lineage, "start_loss": trained.start_loss}
    return {
        **begin,
        "epochs": len(trained.epochs),
        "loss": best and best.loss,
        "held_out_loss": trained.held_out_loss,
        "explained_variance": trained.overall_explained_variance,
        "explained_variance_by_channel": dict(zip(channels, trained.explained_variance.tolist(), strict=True)),
    }
