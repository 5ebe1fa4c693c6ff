"""Carries out the commands of the queue `notifications`."""

from core.contracts import InvalidContract, contract_name
from core.envelope import Envelope
from services.notifications.messages import RecordReport, Send
from services.notifications.reports import record_report
from services.notifications.sending import send
from services.notifications.telling import Notifier

COMMANDS = frozenset({contract_name(Send), contract_name(RecordReport)})


async def handle_command(notifier: Notifier, command: Envelope) -> None:
    """Raises InvalidContract, InFlight, and the transient errors of documents and bus; repeating is safe."""
    match command.data:
        case Send() as data:
            if data.subject != command.subject:
                raise InvalidContract("subject: must be that of the data")
            await send(notifier, data)
        case RecordReport() as report:
            await record_report(notifier, report)
        case _:
            raise InvalidContract(f"type: {command.type!r} is no command of notifications")
