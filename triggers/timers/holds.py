"""Looks after what holds stock without need."""

import azure.functions as func

from core.bus import Bus
from core.clock import Clock
from core.documents import Documents
from services.inventory.expiry import finish_due


def blueprint(documents: Documents, bus: Bus, clock: Clock) -> func.Blueprint:
    bp = func.Blueprint()

    # Each minute; the timers have different seconds, so that they do not wake together.
    @bp.timer_trigger(arg_name="timer", schedule="20 * * * * *")
    async def expire_holds(timer: func.TimerRequest) -> None:
        await finish_due(documents, bus, clock.now())

    return bp
