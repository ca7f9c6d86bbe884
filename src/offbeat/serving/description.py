"""The HTTP API in OpenAPI 3.0, with examples of the model that is served."""

from __future__ import annotations

from typing import Any

import numpy as np

from offbeat.detection.detector import Detector
from offbeat.serving.current import Served
from offbeat.serving.refusals import CODES
from offbeat.serving.stamps import stamp_texts
from offbeat.typing import IntArray

_NUMBER = {"type": "number", "nullable": True}
_MOMENT = {"oneOf": [{"type": "string"}, {"type": "integer"}]}
_JSON, _CSV = "application/json", "text/csv"


def description(served: Served) -> dict[str, Any]:
    """Return the document that `/docs.json` is."""
    request, text = _ref("Request"), {"type": "string", "minLength": 1}
    each = "Each as Request says; one that is refused has an error in its place, and the others are answered"
    many = {"type": "array", "items": {}, "minItems": 1, "description": each}
    requests = {
        "type": "object",
        "required": ["requests"],
        "additionalProperties": False,
        "properties": {"requests": many},
    }
    answers = {"type": "object", "required": ["answers"], "properties": {"answers": {"type": "array", "items": {}}}}
    asset = {"name": "asset", "in": "query", "required": True, "schema": {"type": "string"}}
    example = _example(served)
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "offbeat",
            "version": served.model.version,
            "description": "Is this normal? Scores, alarms and leading channels of sensor readings.",
        },
        "paths": {
            "/score": {"post": _post("Score readings of a machine", {_JSON: (request, example)}, _ref("Answer"))},
            "/score_many": {
                "post": _post("Score many machines at once", {_JSON: (requests, {"requests": [example]})}, answers)
            },
            "/score_csv": {
                "post": {
                    **_post(
                        "Score a CSV file",
                        {_CSV: (text, _csv_example(served))},
                        _ref("Answer"),
                    ),
                    "parameters": [asset],
                }
            },
            "/model": {"get": _card()},
            "/": {"get": _page()},
        },
        "security": [{}, {"token": []}],  # whether a token is asked for, the service's environment says
        "components": {
            "schemas": {"Request": _request(served), "Answer": _answer_schema(), "Error": _error()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _card() -> dict[str, Any]:
    summary = "The model card, or what it says of one machine: a model of several groups has a block for each"
    asset = {"name": "asset", "in": "query", "required": False, "schema": {"type": "string"}}
    return {"summary": summary, "parameters": [asset], "responses": _responses({"type": "object"})}


def _page() -> dict[str, Any]:
    summary = "The page for people: it shows the model card, sends a CSV file to /score_csv and draws the answer"
    responses = _responses({"type": "object"})
    responses["200"]["content"] = {"text/html": {"schema": {"type": "string"}}}
    return {"summary": summary, "security": [{}], "responses": responses}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _post(summary: str, bodies: dict[str, tuple[Any, Any]], answer: dict[str, Any]) -> dict[str, Any]:
    content = {kind: {"schema": schema, "example": example} for kind, (schema, example) in bodies.items()}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": _responses(answer, also_csv=_CSV in bodies),
    }


def _responses(answer: dict[str, Any], *, also_csv: bool = False) -> dict[str, Any]:
    """Return the good answer, and every refusal by its status."""
    good: dict[str, Any] = {_JSON: {"schema": answer}}
    if also_csv:
        good[_CSV] = {"schema": {"type": "string"}}
    found: dict[str, Any] = {"200": {"description": "The answer", "content": good}}
    for code, (status, when) in CODES.items():
        known = found.get(str(status))
        words = f"{known['description']}; `{code}`: {when}" if known else f"`{code}`: {when}"
        found[str(status)] = {"description": words, "content": {_JSON: {"schema": _ref("Error")}}}
    return found


def _request(served: Served) -> dict[str, Any]:
    detectors = served.fleet.groups.values()
    widths = [len(detector.channels) for detector in detectors]
    n_channels = {"minItems": min(widths), "maxItems": max(widths)}
    row = {"type": "array", "items": _NUMBER, **n_channels}
    kinds = [
        {"type": "string", "format": "date-time"} if is_time else {"type": "integer"}
        for is_time in sorted({detector.is_time for detector in detectors}, reverse=True)
    ]
    moment = kinds[0] if len(kinds) == 1 else {"oneOf": kinds}
    return {
        "type": "object",
        "required": ["asset", "timestamps", "values"],
        "additionalProperties": False,
        "properties": {
            "asset": {"type": "string", "description": "A machine that the model knows"},
            "timestamps": {
                "type": "array",
                "items": moment,
                "minItems": 1,
                "description": "In order; UTC without a zone",
            },
            "values": {
                "type": "array",
                "items": row,
                "minItems": 1,
                "description": "A row for each timestamp, a number for each channel; null is a missing reading",
            },
            "channels": {
                "type": "array",
                "items": {"type": "string"},
                **n_channels,
                "description": "Order of the columns of values; by default that of the model, for this machine",
            },
        },
    }


def _answer_schema() -> dict[str, Any]:
    share = {"type": "object", "properties": {"channel": {"type": "string"}, "share": {"type": "number"}}}
    event = {
        "type": "object",
        "properties": {
            "first": _MOMENT,
            "last": _MOMENT,
            "n_timesteps": {"type": "integer"},
            "peak_score": {"type": "number"},
            "peak_ratio": _NUMBER,
            "channels": {"type": "array", "items": share},
        },
    }

    def each(items: dict[str, Any], words: str) -> dict[str, Any]:
        return {"type": "array", "items": items, "description": words}

    properties = {
        "asset": {"type": "string"},
        "channels": each({"type": "string"}, "In the order of shares"),
        "timestamps": each(_MOMENT, "Of the regular grid"),
        "scores": each(_NUMBER, "About 1 is usual; null where there is none"),
        "threshold": {"type": "number"},
        "alarms": each({"type": "boolean"}, "Score over the threshold, or a short pause between two such"),
        "shares": each(
            {"type": "array", "items": {"type": "number"}, "nullable": True}, "Of each channel; null where no alarm is"
        ),
        "events": each(event, "The runs of alarms"),
        "settled_from": {**_MOMENT, "nullable": True, "description": "First timestamp for which context sufficed"},
        "final": each({"type": "boolean"}, "Whether no later reading will change the score"),
        "lineage": {"type": "object"},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _error() -> dict[str, Any]:
    properties = {
        "code": {"type": "string", "enum": list(CODES)},
        "message": {"type": "string"},
        "field": {"type": "string", "nullable": True},
    }
    inner = {"type": "object", "required": list(properties), "properties": properties}
    return {"type": "object", "required": ["error"], "properties": {"error": inner}}


def _example(served: Served) -> dict[str, Any]:
    """Return a request that gets an answer: the usual readings of a machine, twice as many as a window."""
    asset, detector = _example_asset(served)
    stamps = _example_stamps(detector)
    usual = detector.assets[asset].scaling.usual_readings(stamps)
    values = [[float(f"{value:.4g}") for value in row] for row in usual.tolist()]
    return {"asset": asset, "timestamps": stamp_texts(stamps, detector.is_time), "values": values}


def _csv_example(served: Served) -> str:
    example, (_, detector) = _example(served), _example_asset(served)
    name = "timestamp" if detector.is_time else "index"
    lines = [",".join([name, *detector.channels])]
    rows = zip(example["timestamps"], example["values"], strict=True)
    return "\n".join([*lines, *(",".join(map(str, [stamp, *values])) for stamp, values in rows)]) + "\n"


def _example_asset(served: Served) -> tuple[str, Detector]:
    asset = min(served.fleet.group_of)
    return asset, served.fleet.detector_of(asset)


def _example_stamps(detector: Detector) -> IntArray:
    begin = 1_767_571_200_000_000_000 if detector.is_time else 0  # 2026-01-05
    return begin + np.arange(2 * detector.window_size, dtype=np.int64) * detector.step
