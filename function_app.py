"""The composition root: connects what the settings name, builds the services, registers every function."""

import os
from functools import partial

import azure.durable_functions as df
from opentelemetry.metrics import get_meter

from activities import orders as order_activities
from activities import returns as return_activities
from adapters.notifications.connect import operators_of
from adapters.notifications.delivery_status import read_delivery_status
from adapters.notifications.event_grid import read_events
from adapters.notifications.outbox import read_outbox
from adapters.notifications.settings import read_notification_settings
from composition import infrastructure, providers
from core.outside_metrics import observe
from core.settings import read_settings
from core.telemetry import configure_logging
from orchestrators import blueprint as orchestrators
from orchestrators.steps import ORDER_SAGA
from services.inventory.stock_projection import STOCK_LEVELS
from services.notifications.telling import Notifier
from services.orders.handlers import Orders
from services.orders.list_projection import ORDER_LIST
from services.orders.policy import longest_forward_s, policy_of, return_policy_of
from services.orders.saga import Ports
from services.shipping.messages import Address
from triggers.change_feed import audit as audit_changes
from triggers.change_feed import inventory as stock_changes
from triggers.change_feed import orders as order_changes
from triggers.http import alerts as alerts_api
from triggers.http import audit as audit_api
from triggers.http import every_route, health, operations
from triggers.http import inventory as inventory_api
from triggers.http import inventory_imports as imports_api
from triggers.http import notification_preferences as preferences_api
from triggers.http import notification_templates as templates_api
from triggers.http import notifications as notifications_api
from triggers.http import openapi as openapi_api
from triggers.http import order_changes as changes_api
from triggers.http import orders as orders_api
from triggers.http import payment_methods as payment_methods_api
from triggers.http import payments as payments_api
from triggers.http import returns as returns_api
from triggers.http import shipments as shipments_api
from triggers.http import shipping_quotes as quotes_api
from triggers.sagas import ReturnSagas
from triggers.service_bus import inventory as inventory_messages
from triggers.service_bus import notifications as notification_messages
from triggers.service_bus import orders as order_messages
from triggers.service_bus import payments as payment_messages
from triggers.service_bus import service_events
from triggers.service_bus import shipping as shipping_messages
from triggers.timers import dead_letters, holds
from triggers.timers import imports as import_timers
from triggers.timers import orders as order_timers
from triggers.timers import payments as payment_timers
from triggers.timers import shipping as shipping_timers

settings = read_settings(os.environ)
configure_logging(settings.log_level)

told = read_notification_settings(os.environ, settings.adapters)
shop = Address(*settings.shop_address)

places = infrastructure.connect(settings, os.environ)
documents, bus, blobs, clock = places.documents, places.bus, places.blobs, places.clock
outside = providers.connect(settings, told, os.environ, places, shop)
gateway, carriers = outside.gateway, outside.carriers
observe(outside.policies, get_meter("orderflow"))

orders = Orders(documents, clock)
policy = policy_of(settings)
return_sagas = ReturnSagas(policy, return_policy_of(settings))
hold_s = longest_forward_s(policy, len(ORDER_SAGA)) + settings.hold_margin_s
ports = Ports(documents, bus, clock, hold_s)
notifier = Notifier(
    documents,
    bus,
    clock,
    channels=outside.channels,
    operators=operators_of(told),
    unsubscribe_url=f"{told.public_url}/api/unsubscribe",
    unsubscribe_key=told.unsubscribe_key,
    timeout_s=settings.sender.timeout_s,
)

app = df.DFApp()
for blueprint in (
    orchestrators.blueprint(),
    order_activities.blueprint(ports, policy),
    return_activities.blueprint(ports),
    orders_api.blueprint(orders, policy),
    changes_api.blueprint(orders),
    returns_api.blueprint(orders, return_sagas, settings.return_window_s),
    inventory_api.blueprint(documents, clock),
    imports_api.blueprint(documents, bus, blobs, clock),
    payment_methods_api.blueprint(documents, gateway, clock, settings.gateway.timeout_s),
    payments_api.blueprint(documents, bus, clock, outside.payment_webhooks),
    shipments_api.blueprint(documents, bus, blobs, carriers, outside.shipping_webhooks, shop),
    quotes_api.blueprint(carriers),
    operations.blueprint(orders, policy, (ORDER_LIST, STOCK_LEVELS)),
    audit_api.blueprint(documents, clock),
    openapi_api.blueprint(every_route.ROUTES),
    health.blueprint(outside.policies),
    order_messages.blueprint(orders, bus),
    service_events.blueprint(orders, bus),
    inventory_messages.blueprint(documents, bus, blobs, clock),
    payment_messages.blueprint(documents, bus, gateway, clock, settings.gateway.timeout_s),
    shipping_messages.blueprint(documents, bus, carriers),
    preferences_api.blueprint(documents, clock, notifier.unsubscribe_key),
    templates_api.blueprint(documents, clock),
    notifications_api.blueprint(
        notifier,
        told.report_key,
        read_events,
        partial(read_delivery_status, told.email_sender, clock),
        partial(read_outbox, documents) if told.to_outbox else None,
    ),
    alerts_api.blueprint(documents, clock),
    notification_messages.blueprint(notifier),
    order_changes.blueprint(documents, bus),
    stock_changes.blueprint(documents, bus),
    audit_changes.blueprint(documents, bus),
    order_timers.blueprint(orders, policy, settings.idle_s),
    order_timers.returns_blueprint(orders, return_sagas, settings.idle_s),
    holds.blueprint(documents, bus, clock),
    import_timers.blueprint(documents, bus, clock),
    shipping_timers.blueprint(documents, bus, clock, settings.tracking_silence_s),
    payment_timers.blueprint(documents, bus, gateway, clock),
    dead_letters.blueprint(documents, bus, clock, notifier),
):
    app.register_functions(blueprint)
