"""Registers the orchestrators."""

import azure.durable_functions as df

from orchestrators import order_saga as saga


def blueprint() -> df.Blueprint:
    bp = df.Blueprint()
    bp.orchestration_trigger(context_name="context")(saga.order_saga)
    return bp
