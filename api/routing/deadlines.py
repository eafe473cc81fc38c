"""Routes of promises, fees and the public guide."""

from api import guides
from api.access import ANYBODY
from api.calls import Route

ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/v1/guides/connection", guides.show_connection, ANYBODY, "办事指南：报装几天、多少钱、依据", guides.ConnectionGuide,
        query=guides.GuideQuery, tag="报装", shed="search", offline=True,
    ),
)  # fmt: skip
