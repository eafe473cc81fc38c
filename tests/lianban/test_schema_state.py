"""The state of migrations that renders what is asked for: an operation leaves the state before it as it was."""

import pytest
from tortoise import fields
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import UniqueConstraint
from tortoise.migrations.migration import Migration

from lianban.schema_state import projected


def _person() -> ops.CreateModel:
    return ops.CreateModel("Person", [("id", fields.UUIDField(primary_key=True)), ("name", fields.CharField(10))])


def _house() -> ops.CreateModel:
    owner = fields.ForeignKeyField("models.Person", db_constraint=True, to_field="id")
    return ops.CreateModel("House", [("id", fields.UUIDField(primary_key=True)), ("owner", owner)])


def _migration(*operations: ops.Operation) -> Migration:
    migration = Migration("0001_houses", "models")
    migration.operations = list(operations)
    return migration


async def test_a_model_is_rendered_with_what_it_refers_to() -> None:
    state = await projected([_migration(_house(), _person())], {})
    house = state.apps.get_model("models.House")
    assert house._meta.fields_map["owner"].related_model.__name__ == "Person"  # type: ignore[attr-defined]
    assert "owner_id" in house._meta.fields_db_projection


async def test_the_state_before_an_operation_stays_as_it_was() -> None:
    state = await projected([_migration(_person())], {})
    before = state.clone()
    for operation in (
        ops.AddField("Person", "phone", fields.CharField(20)),
        ops.AlterField("Person", "name", fields.CharField(99)),
        ops.AddConstraint("Person", UniqueConstraint(fields=("name",), name="name_once")),
    ):
        operation.state_forward("models", state)
    person, then = state.apps.get_model("models.Person")._meta, before.apps.get_model("models.Person")._meta
    assert (person.fields_map["name"].max_length, then.fields_map["name"].max_length) == (99, 10)  # type: ignore[attr-defined]
    assert ("phone" in person.fields_map, "phone" in then.fields_map) == (True, False)
    assert (len(person.constraints), len(then.constraints)) == (1, 0)


async def test_a_reference_to_a_model_that_is_never_made_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"models\.House refers to models\.Person"):
        await projected([_migration(_house())], {})
