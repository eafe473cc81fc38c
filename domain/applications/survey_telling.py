"""Telling applicants about the appointment for their survey: which times suit them, what is held, what is fixed, what fell through."""

from datetime import datetime
from typing import Any
from uuid import UUID

from domain.applications.telling import applicants
from models.application import Application
from models.lifecycle import Event
from notifications.intents import Intents

_SILENT_APPLICANT = ("applicant_silence",)
_OWN = ("applicant",)


class SurveyTelling:
    """Turns what happens to an appointment into message intents."""

    def __init__(self, intents: Intents) -> None:
        self._intents = intents

    async def survey(self, event: Event) -> None:
        """In the words of its kind; what the applicant has just done himself he is not told."""
        application = await Application.get(id=UUID(event.data["application_id"]))
        values: dict[str, Any] = {"application_id": str(application.id), "application_number": application.number}
        kind = event.kind
        if kind == "survey.released":
            if event.data["why"] in _OWN:
                return
            kind = "survey.lapsed" if event.data["why"] in _SILENT_APPLICANT else kind
        if event.data.get("starts_at"):
            values["starts_at"] = datetime.fromisoformat(event.data["starts_at"])
        for person_id in await applicants(application):
            await self._intents.intend(kind, event.id, person_id, values)
