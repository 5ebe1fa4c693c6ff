"""Compares the gateway's charges and refunds with the payments, each hour."""

import azure.functions as func

from core.bus import Bus
from core.clock import Clock
from core.documents import Documents
from services.payments.gateway import PaymentGateway
from services.payments.reconciliation import reconcile


def blueprint(documents: Documents, bus: Bus, gateway: PaymentGateway, clock: Clock) -> func.Blueprint:
    bp = func.Blueprint()

    @bp.timer_trigger(arg_name="timer", schedule="10 7 * * * *")
    async def reconcile_payments(timer: func.TimerRequest) -> None:
        await reconcile(documents, bus, gateway, clock.now())

    return bp
