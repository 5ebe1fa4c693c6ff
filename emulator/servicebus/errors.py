"""What the Service Bus engine refuses, named after what Service Bus answers."""

from collections.abc import Sequence


class ServiceBusError(Exception):
    """A refused or failed request. Unless a subclass says otherwise nothing was changed."""


class EntityNotFound(ServiceBusError):
    """No such queue, topic or subscription, or not one that can be used so."""


class MessageTooLarge(ServiceBusError):
    """Larger than a message, or all that is sent in one call, may be."""


class InvalidMessage(ServiceBusError):
    """A property has a value that cannot be kept."""


class MessageNotFound(ServiceBusError):
    """No scheduled, or no deferred and unlocked, message has this sequence number."""


class InvalidOperation(ServiceBusError):
    """The entity cannot do this: a dead-lettered message cannot be dead-lettered again."""


class ServerBusy(ServiceBusError):
    """Transient: the same request may succeed later."""


class MessageLockLost(ServiceBusError):
    """These locks expired or were settled already. The other tokens of the same call were settled."""

    def __init__(self, tokens: Sequence[str]) -> None:
        super().__init__(f"lock lost: {', '.join(tokens)}")
        self.tokens = tuple(tokens)
