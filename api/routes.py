"""The table of all routes: who may call what, on whose behalf, at which assurance level. Nothing outside this table is served."""

from api.calls import Route
from api.routing import (
    applications,
    billing,
    deadlines,
    delegation,
    devices,
    materials,
    operation,
    people,
    pushes,
    service_orders,
    staff,
    systems,
)

ROUTES: tuple[Route, ...] = (
    *people.ROUTES,
    *billing.ROUTES,
    *applications.ROUTES,
    *materials.ROUTES,
    *deadlines.ROUTES,
    *delegation.ROUTES,
    *service_orders.ROUTES,
    *pushes.ROUTES,
    *staff.ROUTES,
    *devices.ROUTES,
    *systems.ROUTES,
    *operation.ROUTES,
)
