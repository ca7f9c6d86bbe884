"""artifacts/prepared/ to artifacts/model/: one network over all assets, as Keras and as ONNX file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from offbeat.files import new_directory, write_csv, write_json
from offbeat.models.network import Trained, train_network
from offbeat.params import TrainParams
from offbeat.preparation import laid_end_to_end
from offbeat.reporting import learning_warning
from offbeat.stages.artifacts import MODEL, PREPARED, read_prepared

if TYPE_CHECKING:
    from offbeat.models.learning import Epoch


def run(train: TrainParams, *, root: Path, report: Callable[[Epoch], None] | None = None) -> list[str]:
    """Train on the prepared windows; return what to tell the person who runs it."""
    fleet, card = read_prepared(root / PREPARED)
    trained = train_network(*laid_end_to_end(fleet), card["prepare"]["window_size"], train, report)
    with new_directory(root / MODEL) as scratch:
        trained.keras_model.save(scratch / "model.keras")
        (scratch / "model.onnx").write_bytes(trained.graph)
        (scratch / "untrained.onnx").write_bytes(trained.untrained_graph)
        (scratch / "train.json").write_text(json.dumps(train.model_dump(), indent=1) + "\n", encoding="utf-8")
        rows = [(e.epoch, e.loss, e.held_out_loss, e.learning_rate) for e in trained.epochs]
        write_csv(scratch / "loss.csv", ("epoch", "loss", "held_out_loss", "learning_rate"), rows)
        write_json(scratch / "training.json", _metrics(trained, card["channels"]))
    explained = f"{trained.overall_explained_variance:.1%} of the variance of held-out normal readings"
    lines = [f"{len(trained.epochs)} epochs; the network explains {explained}"]
    warning = learning_warning(trained.overall_explained_variance)
    return [*lines, f"warning: {warning}"] if warning else lines


def _metrics(trained: Trained, channels: list[str]) -> dict[str, object]:
    best = min(trained.epochs, key=lambda epoch: epoch.held_out_loss)
    return {
        "epochs": len(trained.epochs),
        "loss": best.loss,
        "held_out_loss": best.held_out_loss,
        "explained_variance": trained.overall_explained_variance,
        "explained_variance_by_channel": dict(zip(channels, trained.explained_variance.tolist(), strict=True)),
    }
