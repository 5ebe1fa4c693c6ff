"""Registers the orchestrators."""

import azure.durable_functions as df

from orchestrators.order_saga import order_saga
from orchestrators.return_saga import return_saga


def blueprint() -> df.Blueprint:
    bp = df.Blueprint()
    bp.orchestration_trigger(context_name="context")(order_saga)
    bp.orchestration_trigger(context_name="context")(return_saga)
    return bp
