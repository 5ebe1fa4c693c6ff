"""Asks the carriers of parcels of which nothing was heard for too long, since a webhook may have been lost,
and of those that a carrier may have which was given up.
"""

from datetime import timedelta

import azure.functions as func

from core.bus import Bus
from core.clock import Clock
from core.documents import Documents
from services.shipping.sweeps import check_bookings_in_doubt, check_silent_parcels


def blueprint(documents: Documents, bus: Bus, clock: Clock, silence_s: float) -> func.Blueprint:
    """`silence_s`: for how long nothing was heard of a parcel under way when its carrier is asked."""
    bp = func.Blueprint()

    @bp.timer_trigger(arg_name="timer", schedule="15 */5 * * * *")
    async def check_parcels(timer: func.TimerRequest) -> None:
        now = clock.now()
        await check_silent_parcels(documents, bus, now - timedelta(seconds=silence_s), now)
        await check_bookings_in_doubt(documents, bus, now)

    return bp
