"""The state that migrations are computed on, made to cost what is looked at.

Tortoise's runner renders every model of the whole schema anew as classes, before and after each operation; that takes most of the
time of a fresh database and grows with the square of the schema. Here an operation changes plain descriptions, and a model becomes
a class, together with what it refers to, when the statement of an operation asks for it.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import takewhile

from tortoise.fields.relational import ForeignKeyFieldInstance, ManyToManyFieldInstance
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.graph import MigrationKey
from tortoise.migrations.migration import Migration
from tortoise.migrations.schema_generator.state import ModelState, State
from tortoise.migrations.schema_generator.state_apps import StateApps
from tortoise.models import Model

_Key = tuple[str, str]
"""Application and name of a model."""


class Executor(MigrationExecutor):
    """Tortoise's runner on such a state."""

    async def _project_state(self, applied: set[MigrationKey], *, upto: MigrationKey | None = None) -> State:
        connections = {
            label: config.get("default_connection", "default") for label, config in self.loader.apps_config.items()
        }
        before = takewhile(lambda key: key != upto, self._full_plan())
        return await projected((self.loader.graph.nodes[key] for key in before if key in applied), connections)


async def projected(migrations: Iterable[Migration | None], connections: dict[str, str]) -> State:
    """The schema after `migrations`, nothing of it rendered; `connections` names each application's own."""
    state = _LazyState({}, connections)
    for migration in migrations:
        if migration is None:
            raise ValueError("a migration is missing")
        await migration.apply(state, dry_run=True, schema_editor=None)
    return state


class _LazyState(State):
    def __init__(self, models: dict[_Key, ModelState], connections: dict[str, str]) -> None:
        super().__init__(models, _LazyApps(models, connections))
        self._connections = connections

    def reload_model(self, app_label: str, model_name: str) -> None:
        if (app_label, model_name) not in self.models:
            raise LookupError(f"Model state {app_label}.{model_name} is unknown")

    def reload_models(self, model_tuples: Iterable[_Key]) -> None:
        """Nothing was rendered that could be stale."""

    def validate_relations_initialized(self) -> None:
        for key, model in self.models.items():
            for reference in _references(model, self.apps):
                if reference not in self.models:
                    raise RuntimeError(f"{'.'.join(key)} refers to {'.'.join(reference)}, which no migration has made")

    def clone(self) -> State:
        # Operations replace fields and options, they do not change them; and a field is copied when it is rendered.
        models = {
            key: replace(model, fields=dict(model.fields), options=dict(model.options))
            for key, model in self.models.items()
        }
        return _LazyState(models, self._connections)


class _LazyApps(StateApps):
    def __init__(self, models: dict[_Key, ModelState], connections: dict[str, str]) -> None:
        super().__init__(connections)
        self._models = models

    def get_model(self, app_label: str, model_name: str | None = None) -> type[Model]:
        """The model as a class, with what it refers to; raises KeyError."""
        if model_name is None:
            app_label, model_name = self.split_reference(app_label)
        rendered = StateApps(dict(self._default_connections), self._connections)
        waiting, seen = [(app_label, model_name)], set[_Key]()
        while waiting:
            key = waiting.pop()
            if key not in seen:
                seen.add(key)
                rendered.register_model(key[0], self._models[key].render(rendered))
                waiting.extend(_references(self._models[key], self))
        rendered._init_relations()
        rendered._build_initial_querysets()
        return rendered.get_model(app_label, model_name)


def _references(model: ModelState, apps: StateApps) -> list[_Key]:
    relations = (ForeignKeyFieldInstance, ManyToManyFieldInstance)  # one to one is a kind of foreign key
    return [apps.split_reference(field.model_name) for field in model.fields.values() if isinstance(field, relations)]
