"""The errors a person can mend, and the exit codes that tell a scheduler whose turn it is."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_GATED = 3
EXIT_BUSY = 4


class UserError(Exception):
    """A mistake in arguments, configuration or data that the user can mend; the job exits with 2.

    The message is all that the user sees: it names the table, column, row or key, what was expected, and what to do
    next.
    """


class MissingTableError(UserError):
    """An upstream table that has not been made yet."""


class SchemaError(UserError):
    """A frame or table whose columns are not those that its stage declares."""


class LeaseHeldError(Exception):
    """Another run is writing below the same root; the job exits with 4, and can be tried again later."""


class LeaseLostError(Exception):
    """Another run took this one's lease, so that what it still writes does not count; the job exits with 1."""


class TrainingError(Exception):
    """Training stopped by itself (a non-finite loss, ranks that disagree); the message says at which step."""


class GatedError(Exception):
    """A gate stopped the lists of a date from being published; the live ones stay. The job exits with 3."""


class BreachError(GatedError):
    """Figures of a date are out of the bounds that their history gives; all was written. The job exits with 3."""


class PartlyFailedError(Exception):
    """Some of the work could not be done and the rest was; the message, all that the user sees, names what failed."""
