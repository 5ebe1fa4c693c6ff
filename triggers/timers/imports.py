"""Looks after imports of stock whose next message was lost."""

import azure.functions as func

from core.bus import Bus
from core.clock import Clock
from core.documents import Documents
from services.inventory.importing import resume_overdue


def blueprint(documents: Documents, bus: Bus, clock: Clock) -> func.Blueprint:
    bp = func.Blueprint()

    # Each minute; the timers have different seconds, so that they do not wake together.
    @bp.timer_trigger(arg_name="timer", schedule="55 * * * * *")
    async def resume_imports(timer: func.TimerRequest) -> None:
        await resume_overdue(documents, bus, clock.now())

    return bp
