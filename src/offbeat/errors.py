"""What offbeat raises when a person can mend the cause.

Each message states the rule, the value that broke it and the remedy; the command line prints it without a traceback.

    OffbeatError
    ├── ReadingsError   a file of readings, labels or exclusions
    ├── ParamsError     params.yaml or a params mapping
    ├── ModelError      a saved detector, or readings that do not fit it
    └── StageError      a pipeline stage: its inputs, or its own checks
"""


class OffbeatError(Exception):
    """Base of all errors that a person can mend."""


class ReadingsError(OffbeatError, ValueError):
    """Readings, labels or exclusions that cannot be used as they are."""


class ParamsError(OffbeatError, ValueError):
    """A parameter that is unknown, missing or out of range."""


class ModelError(OffbeatError, ValueError):
    """A saved detector that is damaged, or readings that do not fit it."""


class StageError(OffbeatError, RuntimeError):
    """A pipeline stage that cannot run, or whose own check failed."""
