"""Events of companies (docs/company-gateway.md §9), verified with the keys of the company in the address."""

from datetime import datetime
from typing import Any

from api.calls import Answer, Call
from api.company.signed import verified_company
from api.errors import RequestMalformed
from api.texts import Output
from core.failpoint import failpoint
from gateways.companies import EventRefused, parse_event
from models import inbox


class CompanyEventMessage(Output, frozen=True):
    """An event of §9: `type` says what `data` holds. Members we do not know are ignored."""

    event_id: str
    type: str
    at: datetime
    data: dict[str, Any]


async def receive(call: Call) -> Answer:
    """Verify, store, acknowledge. The same event again is acknowledged and changes nothing."""
    company = verified_company(call, call.path["company"])
    try:
        event = parse_event(call.raw, company)
    except EventRefused as refused:
        raise RequestMalformed(where="body", reason=refused.reason) from refused
    await inbox.store(call.services.vault, f"company:{company}", event.event_id, event.type, call.raw)
    failpoint("company_event.stored")
    return Answer(None, 204)
