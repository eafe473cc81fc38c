"""What a phone's camera opens when it scans a printed code: where to go with it. Nothing about any account."""

from html import escape

from api.calls import Answer, Call
from api.html import page


async def show(call: Call) -> Answer:
    """The same page for every token: whether a code is one of ours is said only in the mini-program."""
    name = escape(call.services.city.name)
    return page(
        "请用微信打开",
        f"<main><h1>联办 · {name}</h1>"
        '<p class="big">这是缴费单上的二维码，请在微信小程序“联办”里打开。</p>'
        "<ol><li>打开微信，搜索小程序“联办”。</li>"
        "<li>点“扫一扫缴费”，再扫一次这个二维码。</li>"
        "<li>核对户号和金额后再付款。</li></ol>"
        '<p class="soft">联办不会在这个网页上让您付款，也不会让您填写密码或验证码。</p></main>',
    )
