"""All routes of the app, for its OpenAPI document."""

from triggers.http import (
    alerts,
    audit,
    health,
    inventory,
    inventory_imports,
    notification_preferences,
    notification_templates,
    notifications,
    openapi,
    operations,
    order_changes,
    orders,
    payment_methods,
    payments,
    returns,
    shipments,
)

ROUTES = (
    *orders.ROUTES,
    *order_changes.ROUTES,
    *returns.ROUTES,
    *inventory.ROUTES,
    *inventory_imports.ROUTES,
    *payments.ROUTES,
    *payment_methods.ROUTES,
    *shipments.ROUTES,
    *notifications.ROUTES,
    *notification_preferences.ROUTES,
    *notification_templates.ROUTES,
    *alerts.ROUTES,
    *audit.ROUTES,
    *operations.ROUTES,
    *health.ROUTES,
    *openapi.ROUTES,
)
