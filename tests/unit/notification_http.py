"""Calls the HTTP functions of notifications without a host, as http_support does those of the others."""

from functools import partial

import azure.durable_functions as df
import azure.functions as func
import orjson

from adapters.notifications.delivery_status import read_delivery_status
from adapters.notifications.event_grid import read_events
from adapters.notifications.outbox import read_outbox
from tests.fakes import FakeBus, FakeClock, FakeDocuments
from tests.notification_support import notifier
from tests.unit.http_support import as_declared
from triggers.http import alerts, notification_preferences, notification_templates, notifications

SENDER = "shop@shop.example"
REPORT_KEY = "r" * 32


class NotificationApi:
    def __init__(self, report_key: str = REPORT_KEY, outbox: bool = True) -> None:
        self.clock = FakeClock()
        self.documents = FakeDocuments(self.clock)
        self.bus = FakeBus(self.clock)
        self.to = notifier(self.documents, self.bus, self.clock)
        app = df.DFApp()
        for blueprint in (
            notification_preferences.blueprint(self.documents, self.clock, self.to.unsubscribe_key),
            notification_templates.blueprint(self.documents, self.clock),
            alerts.blueprint(self.documents, self.clock),
            notifications.blueprint(
                self.to,
                report_key,
                read_events,
                partial(read_delivery_status, SENDER, self.clock),
                partial(read_outbox, self.documents) if outbox else None,
            ),
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
        return as_declared(function, await self._functions[function](request))
