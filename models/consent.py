"""Consents: one per application and receiving company, by name and by the version of the notice that was shown (PIPL 17, 23, 29)."""

from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model


class Consent(Model):
    """An applicant has agreed that this company gets its part of this application.

    A service order refers to its consent by (application, company): without one it cannot exist. Taken back by `withdrawn_at`, with
    the order.
    """

    id = fields.UUIDField(primary_key=True)
    application: Any = fields.ForeignKeyField("models.Application", related_name="consents", on_delete=fields.RESTRICT)
    application_id: Any
    company = fields.CharField(max_length=30)
    notice_version = fields.CharField(max_length=40)
    notice_sha256 = fields.CharField(max_length=64)
    """Of the very words that were shown for this company."""
    basis = fields.CharField(max_length=20, default="applicant")
    """``applicant``; or ``platform_push``: given to the housing bureau with the construction permit, which fills in the form for the
    enterprise (鄂州工改办〔2023〕11号 二、1), and vouched for by the push that names the company."""
    person_id = fields.UUIDField(null=True)
    """Who agreed, then; an agent where the applicant is an organization. Of a push: nobody known here."""
    push_id = fields.UUIDField(null=True)
    given_at = fields.DatetimeField()
    withdrawn_at = fields.DatetimeField(null=True)

    class Meta:
        table = "consent"
        constraints = (
            UniqueConstraint(name="consent_once", fields=("application_id", "company")),
            CheckConstraint(
                name="consent_basis_whole",
                check="basis in ('applicant', 'platform_push') and (basis = 'applicant') = (person_id is not null)"
                " and (basis = 'platform_push') = (push_id is not null)",
            ),
            CheckConstraint(name="consent_withdrawn_later", check="withdrawn_at >= given_at"),
        )
