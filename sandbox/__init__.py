"""The outside world over real HTTP: WeChat, WeChat Pay and the companies, with real signatures and scriptable faults.

It imports nothing of the product and shares no code with its clients, so that one misunderstanding cannot hide on both
sides. The contract is ``docs/sandbox.md``; a new counterpart starts at :mod:`sandbox.context`.
"""
