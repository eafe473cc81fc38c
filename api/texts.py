"""Types of request fields that several operations share: shapes as patterns, lengths in characters."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

ClientId = Annotated[
    str, Meta(pattern=r"\A[0-9A-Za-z_-]{16,64}\Z", description="客户端自己生成并保存的随机编号；刷新登录时必须相同")
]
WeChatCode = Annotated[str, Meta(min_length=1, max_length=256, description="wx.login 或手机号按钮给出的一次性代码")]
CompanyCode = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,29}\Z")]
Label = Annotated[str, Meta(min_length=1, max_length=20)]
Fen = Annotated[int, Meta(ge=0, le=1_000_000_000, description="金额，单位为分")]


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The base of everything a client sends: unknown members are refused."""


class Output(msgspec.Struct, frozen=True):
    """The base of everything we answer."""


class Failure(Output, frozen=True):
    """What a platform is told when its call is refused."""

    code: str
    message: str


class Page(Input, frozen=True):
    """Paging: at most `limit` rows after the one with id `after`."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    after: UUID | None = None
