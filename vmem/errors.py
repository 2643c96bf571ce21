"""The one family of errors whose message is meant for the person at the keyboard."""


class VMemError(Exception):
    """Something a user can mend; the message says what was wrong and what to do.

    Every error of this kind in the package derives from it, so that a command line or a viewer can
    show the message and nothing else, while real defects still show their traceback.
    """


class BackendError(VMemError, RuntimeError):
    """A backend that cannot run here, with what to do about it."""
