"""Routes of 报装: the form, the papers that go with it."""

from api import forms
from api.access import ANYBODY
from api.calls import Route
from core.errors import NotFound

ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/v1/forms/application", forms.show_application, ANYBODY, "报装申请表", forms.FormView, query=forms.FormQuery,
        errors=(NotFound,), tagged=True, tag="报装", offline=True,
    ),
)  # fmt: skip
