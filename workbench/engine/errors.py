"""What can go wrong with messaging, as the built-in exceptions a Python programmer expects.

MessagingError
├── TimedOut (TimeoutError)            the deadline passed
├── Closed (ConnectionError)           the socket or context is closed
├── Cancelled                          taken back, or made pointless by a later call
├── StateError (RuntimeError)          the call does not fit the socket's state
├── ForkedError (RuntimeError)         the socket was made before a fork, by the parent
├── TooLarge (ValueError)              the message is larger than max_message
├── LimitReached (RuntimeError)        the socket already holds as much as an option allows
├── OptionError (ValueError)           an option is unknown or out of its range
├── AddressError (ValueError)          an address makes no sense
└── EndpointFailed (OSError)           the operating system refused to listen or to connect
"""


class MessagingError(Exception):
    """Any failure of the messaging engine."""


class TimedOut(MessagingError, TimeoutError):
    """The deadline passed; nothing was sent or received."""


class Closed(MessagingError, ConnectionError):
    """The socket or the context is closed."""


class Cancelled(MessagingError):
    """The operation was taken back, or a later call made it pointless."""


class StateError(MessagingError, RuntimeError):
    """The call does not fit the socket's state, for example a reply without a request in hand."""


class ForkedError(MessagingError, RuntimeError):
    """The socket was made by the process that this one is a fork of; make a new one here."""


class TooLarge(MessagingError, ValueError):
    """The message is larger than `max_message`."""


class LimitReached(MessagingError, RuntimeError):
    """The socket already holds as many of something as one of its options allows."""


class OptionError(MessagingError, ValueError):
    """An option is unknown or out of its range."""


class AddressError(MessagingError, ValueError):
    """An address makes no sense."""


class EndpointFailed(MessagingError, OSError):
    """The operating system refused to listen or to connect."""
