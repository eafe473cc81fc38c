"""What a catalogue of messages must keep: references, templates, and texts that no value can make too long."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cities import messages
from cities.checks import check_days, unique
from cities.errors import CityPackInvalid, MessageValuesInvalid
from cities.message_texts import (
    AccountNumberValue,
    ChoiceValue,
    DateTimeValue,
    DateValue,
    FenValue,
    Message,
    MessagesFile,
    Placeholder,
    ReferenceValue,
    SmsTemplate,
    SmsText,
    Template,
    TemplateData,
    TextValue,
)
from cities.wechat_keys import kind_of, units

TITLE_MAX, BODY_MAX, PAGE_MAX = 40, 300, 200

SMS_MAX = 480
"""The supplier allows 500 with the signature."""
USED_BY_THE_PROGRAM = frozenset({"phone_code"})
"""Text messages that belong to no message: the program sends them itself."""

_SMS_VARIABLE = re.compile(r"\{([0-9]+)\}")
_NOT_IN_SMS_TEXT = re.compile(r"[【】{}]|https?:|www\.", re.IGNORECASE)
_PAGE = re.compile(r"pages[0-9A-Za-z/_-]*/[0-9A-Za-z_-]+(?:\?[0-9A-Za-z_={}&-]+)?")


def check_messages(file: str, found: MessagesFile) -> None:
    """Everything referred to exists, everything that exists is referred to, and no text can ever be too long."""
    _check_templates(file, "templates", found.templates)
    _check_templates(file, "official_templates", found.official_templates)
    _check_sms_templates(file, found.sms_templates)
    _check_silence(file, found)
    _check_told(file, found)
    for path, versions in _by_kind(found.messages).items():
        check_days(file, path, versions)
        if len({frozenset(message.values) for message in versions}) > 1:
            raise CityPackInvalid(file, path, "the program gives the same values for every version of a kind")
    for index, message in enumerate(found.messages):
        _check_message(file, f"$.messages[{index}]", message, found)
    _check_used(file, "$.values", found.values, {name for message in found.messages for name in message.values})
    for path, declared, channel in (
        ("$.templates", found.templates, "mini_program"),
        ("$.official_templates", found.official_templates, "official_account"),
        ("$.sms_templates", {name for name in found.sms_templates if name not in USED_BY_THE_PROGRAM}, "sms"),
    ):
        parts = (getattr(message, channel) for message in found.messages)
        _check_used(file, path, declared, {part.template for part in parts if part is not None})


def _check_templates(file: str, table: str, templates: Mapping[str, Template]) -> None:
    for name, template in templates.items():
        for key in template.keys:
            if kind_of(key) is None:
                raise CityPackInvalid(file, f"$.{table}.{name}.keys", f"{key} is no type of key WeChat knows")
        unique(file, f"$.{table}.{name}.keys[{{}}]", template.keys)
    _unique_by_name(file, f"$.{table}.{{}}.title", {name: template.title for name, template in templates.items()})


def _check_sms_templates(file: str, templates: Mapping[str, SmsTemplate]) -> None:
    for name, template in templates.items():
        numbers = _SMS_VARIABLE.findall(template.text)
        if numbers != [str(number) for number in range(1, len(numbers) + 1)]:
            raise CityPackInvalid(file, f"$.sms_templates.{name}.text", "variables are {1}, {2} … in this order")
        if _NOT_IN_SMS_TEXT.search(_SMS_VARIABLE.sub("", template.text)):
            raise CityPackInvalid(
                file, f"$.sms_templates.{name}.text", "the supplier adds the signature; no brackets, no address"
            )


def _check_silence(file: str, found: MessagesFile) -> None:
    unique(file, "$.silent[{}].kind", (edge.kind or str(index) for index, edge in enumerate(found.silent)))
    unique(file, "$.silent.edges", (name for edge in found.silent for name in edge.edges))
    spoken = {message.kind for message in found.messages}
    for index, edge in enumerate(found.silent):
        if (edge.kind is None) == (not edge.edges):
            raise CityPackInvalid(file, f"$.silent[{index}]", "names an event by its kind, or edges: one of the two")
        if edge.kind in spoken:
            raise CityPackInvalid(file, f"$.silent[{index}].kind", f"{edge.kind} has a message, so it is not silent")


def _check_told(file: str, found: MessagesFile) -> None:
    unique(file, "$.told[{}].kind", (told.kind for told in found.told))
    audience_of = {message.kind: message.audience for message in found.messages}
    silent = {edge.kind for edge in found.silent}
    for index, told in enumerate(found.told):
        path = f"$.told[{index}]"
        if told.kind in silent:
            raise CityPackInvalid(file, f"{path}.kind", f"{told.kind} is among the silent")
        for audience, kinds in told.messages.items():
            for kind in kinds:
                if audience_of.get(kind) != audience:
                    raise CityPackInvalid(file, f"{path}.messages.{audience}", f"{kind} is no message to {audience}")
        subject = told.kind.partition(".")[0]
        named, wanted = [*told.messages, *told.otherwise], found.audiences.get(subject, ())
        if sorted(named) != sorted(wanted):
            raise CityPackInvalid(
                file, path, f"{subject} concerns {', '.join(wanted) or 'nobody'}; here stand {', '.join(named)}"
            )


def _check_message(file: str, path: str, message: Message, found: MessagesFile) -> None:
    unique(file, f"{path}.values[{{}}]", message.values)
    for index, name in enumerate(message.values):
        if name not in found.values:
            raise CityPackInvalid(file, f"{path}.values[{index}]", f"{name} is not described in [values]")
    for where, text in _texts(message):
        try:
            used = {piece.name for piece in messages.pieces(text)} - {None}
        except ValueError as error:
            raise CityPackInvalid(file, f"{path}.{where}", str(error)) from error
        for name in sorted(used - set(message.values), key=str):
            raise CityPackInvalid(file, f"{path}.{where}", f"{{{name}}} is not among the values of {message.kind}")
    _check_page(file, path, message, found.values)
    if message.mini_program is not None:
        _check_template(file, f"{path}.mini_program", message, message.mini_program, found.templates, found.values)
    if message.official_account is not None:
        _check_template(
            file, f"{path}.official_account", message, message.official_account, found.official_templates, found.values
        )
    if message.sms is not None:
        _check_sms(file, f"{path}.sms", message, message.sms, found)
    _check_inbox(file, path, message, found.values)


def _check_page(file: str, path: str, message: Message, placeholders: Mapping[str, Placeholder]) -> None:
    if message.page is None:
        return
    if _PAGE.fullmatch(message.page) is None or len(message.page) > PAGE_MAX:
        raise CityPackInvalid(file, f"{path}.page", "a page is written like pages/payment/detail?id={payment_id}")
    for piece in messages.pieces(message.page):
        if piece.name is not None and not isinstance(placeholders[piece.name], ReferenceValue):
            raise CityPackInvalid(
                file, f"{path}.page", f"{{{piece.name}}} may not stand in an address: only a reference may"
            )


def _check_template(
    file: str,
    path: str,
    message: Message,
    part: TemplateData,
    templates: Mapping[str, Template],
    values: Mapping[str, Placeholder],
) -> None:
    template = templates.get(part.template)
    if template is None:
        raise CityPackInvalid(file, f"{path}.template", f"there is no template {part.template}")
    if odd := set(template.keys) ^ set(part.data):
        raise CityPackInvalid(
            file, f"{path}.data", f"{', '.join(sorted(odd))}: the keys have to be those of the template"
        )
    for key, text in part.data.items():
        free = [piece.name for piece in messages.pieces(text) if isinstance(values.get(piece.name or ""), TextValue)]
        if free and kind_of(key) != "thing":
            raise CityPackInvalid(file, f"{path}.data.{key}", f"{{{free[0]}}} is free text, which only a thing takes")
        # A thing may be shortened in its free texts: it has to fit with those at their shortest, else at the longest.
        shortest = kind_of(key) == "thing"
        for shown in _samples(message, values, shortest=shortest):
            try:
                messages.check_key(message.kind, key, messages.fill(key, text, shown))
            except MessageValuesInvalid as error:
                raise CityPackInvalid(file, f"{path}.data.{key}", str(error)) from error


def _check_sms(file: str, path: str, message: Message, part: SmsText, found: MessagesFile) -> None:
    template = found.sms_templates.get(part.template)
    if template is None:
        raise CityPackInvalid(file, f"{path}.template", f"there is no text message {part.template}")
    count = len(_SMS_VARIABLE.findall(template.text))
    if count != len(part.params):
        raise CityPackInvalid(file, f"{path}.params", f"the text has {count} variables, here stand {len(part.params)}")
    for shown in _samples(message, found.values, shortest=False):
        filled = [messages.fill_whole(text, shown) for text in part.params]
        for index, text in enumerate(filled):
            try:
                messages.check_sms(message.kind, text)
            except MessageValuesInvalid as error:
                raise CityPackInvalid(file, f"{path}.params[{index}]", str(error)) from error
        if units(_SMS_VARIABLE.sub("", template.text)) + sum(map(units, filled)) > SMS_MAX:
            raise CityPackInvalid(file, path, f"may become longer than {SMS_MAX} characters")


def _check_inbox(file: str, path: str, message: Message, placeholders: Mapping[str, Placeholder]) -> None:
    for where, text, limit in (("title", message.inbox.title, TITLE_MAX), ("body", message.inbox.body, BODY_MAX)):
        longest = max(
            units(messages.fill_whole(text, shown)) for shown in _samples(message, placeholders, shortest=False)
        )
        if longest > limit:
            raise CityPackInvalid(
                file, f"{path}.inbox.{where}", f"may become {longest} characters long, at most {limit} are allowed"
            )


def _samples(
    message: Message, placeholders: Mapping[str, Placeholder], *, shortest: bool
) -> Iterator[dict[str, messages.Shown]]:
    """Extreme values of all placeholders; every option of a choice appears once."""
    rounds = 1
    choices: dict[str, list[str]] = {}
    for name in message.values:
        placeholder = placeholders[name]
        if isinstance(placeholder, ChoiceValue):
            choices[name] = list(placeholder.options.values())
            rounds = max(rounds, len(choices[name]))
    for turn in range(rounds):
        yield {
            name: messages.Shown(
                choices[name][turn % len(choices[name])]
                if name in choices
                else _extreme(placeholders[name], shortest=shortest),
                isinstance(placeholders[name], TextValue),
            )
            for name in message.values
        }


def _extreme(placeholder: Placeholder, *, shortest: bool) -> str:
    match placeholder:
        case FenValue():
            return messages.yuan(messages.LARGEST_FEN)
        case DateTimeValue():
            return "2026年12月31日 23:59"
        case DateValue():
            return "2026年12月31日"
        case AccountNumberValue():
            return "****8421"
        case ReferenceValue():
            return "0" * placeholder.max
        case TextValue():
            return "长" * (1 if shortest else placeholder.max)
        case ChoiceValue():
            return max(placeholder.options.values(), key=units)


def _texts(message: Message) -> Iterator[tuple[str, str]]:
    yield "inbox.title", message.inbox.title
    yield "inbox.body", message.inbox.body
    if message.page is not None:
        yield "page", message.page
    for channel, part in (("mini_program", message.mini_program), ("official_account", message.official_account)):
        if part is not None:
            for key, text in part.data.items():
                yield f"{channel}.data.{key}", text
    if message.sms is not None:
        for index, text in enumerate(message.sms.params):
            yield f"sms.params[{index}]", text


def _by_kind(found: Sequence[Message]) -> dict[str, list[Message]]:
    kinds: defaultdict[str, list[Message]] = defaultdict(list)
    for message in found:
        kinds[f"$.messages({message.kind})"].append(message)
    return kinds


def _check_used(file: str, path: str, declared: Iterable[str], used: set[str]) -> None:
    for name in declared:
        if name not in used:
            raise CityPackInvalid(file, f"{path}.{name}", "nothing uses it")


def _unique_by_name(file: str, path: str, values: Mapping[str, str]) -> None:
    seen: dict[str, str] = {}
    for name, value in values.items():
        if value in seen:
            raise CityPackInvalid(file, path.format(name), f"{value} appears twice, also in {seen[value]}")
        seen[value] = name
