"""For load balancers and start scripts, and for who wants to know which provider is not asked."""

from collections.abc import Sequence
from typing import Literal, TypedDict

import azure.durable_functions as df
import azure.functions as func

from core.outside_policy import OutsidePolicy, ProviderStatus
from triggers.http.answers import Answer
from triggers.http.routes import Route, of_service


class Health(TypedDict):
    status: Literal["ok"]
    outside: list[ProviderStatus]


SERVES = Answer(Health)

ROUTES = of_service(
    "system",
    Route("GET", "health", "get_health", "whether this instance serves", (SERVES,), anonymous=True),
)


def blueprint(policies: Sequence[OutsidePolicy] = ()) -> df.Blueprint:
    """A provider that is down takes no instance out of service: the answer is 200 all the same."""
    bp = df.Blueprint()

    @bp.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def get_health(req: func.HttpRequest) -> func.HttpResponse:
        return SERVES({"status": "ok", "outside": [policy.status() for policy in policies]})

    return bp
