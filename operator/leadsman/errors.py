"""Every error that Leadsman raises, in one flat list.

Callers decide by class and read attributes; nobody parses a message. Response bodies never
become part of an error's text beyond the API server's own short message (promise I12).
"""


class LeadsmanError(Exception):
    """The root: catch this to catch everything that Leadsman raises on purpose."""


class ApiError(LeadsmanError):
    """Raised when the Kubernetes API refuses or cannot answer a request.

    `status` is the HTTP status (0 when there was no answer), `reason` the API's CamelCase
    reason, `message` its own sentence, cut at 500 characters.
    """

    def __init__(self, status: int, reason: str, message: str, *, retry_after: float = 0.0) -> None:
        self.status = status
        self.reason = reason
        self.message = message[:500]
        self.retry_after = retry_after
        super().__init__(f"{status} {reason}: {self.message}")


class NotFoundError(ApiError):
    """Raised when the object (or its kind) does not exist: HTTP 404."""


class AlreadyExistsError(ApiError):
    """Raised when a create meets an object of the same name: HTTP 409 AlreadyExists."""


class ConflictError(ApiError):
    """Raised when a precondition did not hold (HTTP 409, or a JSON Patch `test` that failed).

    It is never retried blindly: read again and decide again.
    """


class GoneError(ApiError):
    """Raised when a watch asks for a resourceVersion that is no longer kept: HTTP 410."""


class ForbiddenError(ApiError):
    """Raised when the right to do this is missing: HTTP 401 or 403."""


class InvalidError(ApiError):
    """Raised when the API server refuses a body as invalid: HTTP 400 or 422."""


class UnavailableError(ApiError):
    """Raised when there is no usable answer: time-out, connection lost, HTTP 429 or 5xx.

    The write may or may not have happened.
    """


class RecordError(LeadsmanError):
    """Raised when a decision record cannot be read; `path` names the field."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: {problem}")
