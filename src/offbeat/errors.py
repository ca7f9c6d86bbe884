"""What offbeat raises when a person can mend the cause.

Each message states the rule, the value that broke it and the remedy; the command line prints it without a traceback.

    OffbeatError
    ├── ReadingsError      a file of readings, labels or exclusions
    │   └── SourceError    a source that cannot be reached now, and may be later
    ├── ParamsError        params.yaml or a params mapping
    ├── ModelError         a saved detector, or readings that do not fit it
    │   ├── FormatError    a detector that another version of offbeat has written
    │   └── StartError     a model that a training cannot start from
    ├── StageError         a pipeline stage: its inputs, or its own checks
    ├── StoreError         the database of scores and alarms
    ├── NotificationError  a message that was not accepted
    └── ServiceError       the scoring service: a request it refused, or no answer
"""


class OffbeatError(Exception):
    """Base of all errors that a person can mend."""


class ReadingsError(OffbeatError, ValueError):
    """Readings, labels or exclusions that cannot be used as they are."""


class SourceError(ReadingsError):
    """A source of readings that cannot be reached or read now; trying again later may help."""


class ParamsError(OffbeatError, ValueError):
    """A parameter that is unknown, missing or out of range."""


class ModelError(OffbeatError, ValueError):
    """A saved detector that is damaged, or readings that do not fit it."""


class FormatError(ModelError):
    """A detector that another version of offbeat has written."""


class StartError(ModelError):
    """A model that a training cannot start from: another network, other channels or other preprocessing."""


class StageError(OffbeatError, RuntimeError):
    """A pipeline stage that cannot run, or whose own check failed."""


class StoreError(OffbeatError, RuntimeError):
    """A store that cannot be used, or does not hold what was asked for."""


class NotificationError(OffbeatError, RuntimeError):
    """A message that was not accepted, as far as the sender knows."""


class ServiceError(OffbeatError, RuntimeError):
    """A request that the scoring service refused, or gave no answer to.

    Attributes
    ----------
    status : int, optional
        Of HTTP; None where there was no answer.
    code, field : str, optional
        What the service says: one of its codes, and the field of the request that is wrong.
    """

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, field: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.field = status, code, field
