"""The one exception for a user's mistake."""


class UserError(Exception):
    """A mistake of the user: one line saying what, where, what was expected and what to do.

    Every face prints it as ``error: <line>`` and exits with code 2.
    """
