"""A sender of notifications under a policy. A mail sent again may arrive twice, so nothing is repeated here:
services/notifications/sending.py counts and spaces attempts, and has another channel stand in.
"""

from core.outside_call import NotSent, OutcomeUnknown
from core.outside_policy import OutsidePolicy
from services.notifications.channels import Channel, Message, PutOff, SendUnavailable, Sent


class ResilientChannel(Channel):
    def __init__(self, channel: Channel, guard: OutsidePolicy) -> None:
        self._channel = channel
        self.guard = guard

    async def send(self, message: Message) -> Sent:
        async def answer() -> Sent | PutOff:
            try:
                return await self._channel.send(message)
            except PutOff as error:
                return error  # of this message alone: nothing that the circuit should count

        try:
            sent = await self.guard.call(answer, repeat=False)
        except NotSent as error:
            raise SendUnavailable(str(error), error.retry_after_s) from error
        except OutcomeUnknown as error:
            raise SendUnavailable("timeout") from error
        if isinstance(sent, PutOff):
            raise sent
        return sent
