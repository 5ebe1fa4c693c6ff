"""For load balancers and start scripts."""

import azure.durable_functions as df
import azure.functions as func

from triggers.http.problem import answer


def blueprint() -> df.Blueprint:
    bp = df.Blueprint()

    @bp.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def get_health(req: func.HttpRequest) -> func.HttpResponse:
        return answer({"status": "ok"})

    return bp
