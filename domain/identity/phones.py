"""A number that a person has proved, by whichever way."""

from uuid import UUID

from core import clock
from core.crypto import Vault
from models import audit
from models.lifecycle import Actor
from models.person import Person


async def write_proved_phone(vault: Vault, person_id: UUID, number: str) -> None:
    """Keep the number (``+8613…``) and raise the person to level 2, in the caller's transaction."""
    person = await Person.filter(id=person_id).select_for_update().get()
    person.phone = vault.seal(number, "person.phone", person.id)
    person.phone_index = vault.index("person.phone", number)
    person.phone_proved_at = clock.now()
    person.level = max(person.level, 2)
    await person.save(update_fields=["phone", "phone_index", "phone_proved_at", "level"])
    await audit.record(Actor("person", str(person.id)), "person.phone_proved", "person", person.id)
