"""The errors a person can mend, and the exit codes that tell a scheduler whose turn it is."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_GATED = 3


class UserError(Exception):
    """A mistake in arguments, configuration or data that the user can mend; the job exits with 2.

    The message is all that the user sees: it names the table, column, row or key, what was expected, and what to do
    next.
    """


class MissingTableError(UserError):
    """An upstream table that has not been made yet."""


class SchemaError(UserError):
    """A frame or table whose columns are not those that its stage declares."""


class TrainingError(Exception):
    """Training stopped by itself (a non-finite loss, ranks that disagree); the message says at which step."""


class PartlyFailedError(Exception):
    """Some of the work could not be done and the rest was; the message, all that the user sees, names what failed."""
