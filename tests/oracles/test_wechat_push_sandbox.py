"""The sandbox's message push opened by wechatpy, whose cryptography neither side of the sandbox was written with."""

from pathlib import Path
from urllib.parse import parse_qs

import pytest
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidSignatureException
from wechatpy.utils import check_signature

from tests.sandbox.wechat_support import AES_KEY, APPID, ONE_OFF, PUSH_TOKEN, world

pytestmark = pytest.mark.oracle


async def test_a_foreign_receiver_opens_a_push_and_refuses_a_forged_one(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        person = await running.person()
        subscribe = {"appid": APPID, "template_ids": [ONE_OFF], "accept": True}
        crypto = WeChatCrypto(PUSH_TOKEN, AES_KEY, APPID)
        for forged in (False, True):
            if forged:
                await running.fault("wechat", "message_push", "forge", times=1)
            await running.control("POST", f"/people/{person['person_id']}/subscribe", subscribe)
            received = await running.product.next()
            query = {name: values[0] for name, values in parse_qs(received.query).items()}
            signed = (query["msg_signature"], query["timestamp"], query["nonce"])
            if forged:
                with pytest.raises(InvalidSignatureException):
                    crypto.decrypt_message(received.body, *signed)
                continue
            check_signature(PUSH_TOKEN, query["signature"], query["timestamp"], query["nonce"])
            event = crypto.decrypt_message(received.body, *signed)
            assert f"<TemplateId><![CDATA[{ONE_OFF}]]></TemplateId>" in event
