"""What the next training is to start from: the champion, but for every so many trainings new weights."""

from __future__ import annotations

from offbeat.errors import ModelError
from offbeat.params import TrainParams
from offbeat.registry import Registry
from offbeat.starting import Start


def choose_start(registry: Registry, train: TrainParams, new_weights: str = "") -> tuple[Start | None, str]:
    """Return what to start from, None for new weights, and why, in words.

    Parameters
    ----------
    registry : Registry
    train : TrainParams
    new_weights : str
        Why nothing but new weights will do; empty if nothing speaks against the champion's.
    """
    why = new_weights or train.needs_new_weights or _enough(registry, train.warm_limit)
    if not why:
        try:
            champion = registry.champion()
            if champion is not None:
                start = Start(champion.load(), champion.version)
                return start, f"training starts from the weights of model {champion.version}, the champion"
            why = "there is no champion yet"
        except ModelError as error:  # whoever has it can do nothing but train anew
            why = f"the champion cannot be read ({error})"
    return None, f"training starts from new weights: {why}"


def _enough(registry: Registry, limit: int) -> str:
    """Return why the next training starts from new weights after so many that did not; empty if it need not.

    Recalibrated models were not trained and do not count.
    """
    trained = [model.card for model in registry.models() if not model.card.get("parent")]
    if len(trained) < limit or any("start_hash" not in card.get("lineage", {}) for card in trained[-limit:]):
        return ""
    return f"the last {limit} did not (train.warm_limit)"
