"""Errors that a user can cause and mend."""


class UserError(Exception):
    """Bad input: the message says what is wrong, what was given, what exists and what to do.

    The command line prints it as one line or two and exits with a non-zero code; a traceback would add nothing.
    """


class TrainingFailed(Exception):
    """One design could not be trained: NaN loss, no memory. The message is the reason that the study records."""
