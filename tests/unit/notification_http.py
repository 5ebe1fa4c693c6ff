"""Calls the HTTP functions of notifications without a host."""

import azure.durable_functions as df
import azure.functions as func
import orjson

from tests.fakes import FakeBus, FakeClock, FakeDocuments
from tests.notification_support import notifier
from triggers.http import notification_preferences, notification_templates


class NotificationApi:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.documents = FakeDocuments(self.clock)
        self.bus = FakeBus(self.clock)
        self.to = notifier(self.documents, self.bus, self.clock)
        app = df.DFApp()
        for blueprint in (
            notification_preferences.blueprint(self.documents, self.clock, self.to.unsubscribe_key),
            notification_templates.blueprint(self.documents, self.clock),
        ):
            app.register_functions(blueprint)
        self._functions = {each.get_function_name(): each.get_user_function() for each in app.get_functions()}

    async def call(
        self,
        function: str,
        body: object = b"",
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        **route: str,
    ) -> func.HttpResponse:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        request = func.HttpRequest(
            "GET", "http://localhost/api", headers=headers, params=query, route_params=route, body=raw
        )
        return await self._functions[function](request)
