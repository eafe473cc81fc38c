"""Who may call, by the names the table of routes uses; what stands last is the scope with which an agent calls for his organization."""

from api.calls import Access

ANYBODY = Access("anybody")
WECHAT = Access("person", 1)
FRESH = Access("person", 1, fresh=True)
"""Anybody logged in, who has proved himself within the last five minutes."""
PHONE = Access("person", 2)
PHONE_READ = Access("person", 2, scope="read")
PHONE_PAY = Access("person", 2, scope="pay")
WECHAT_READ = Access("person", 1, scope="read")
WECHAT_PAY = Access("person", 1, scope="pay")
REAL_NAME = Access("person", 3)
REAL_NAME_FILE = Access("person", 3, scope="file")
REAL_NAME_SIGN = Access("person", 3, fresh=True, scope="sign")
REAL_NAME_APPOINT = Access("person", 3, scope="appoint")
COMPANY = Access("company")
PLATFORM = Access("platform")
STAFF = Access("staff")
STAFF_ACCOUNTS = Access("staff", permission="accounts.read")
STAFF_PAYMENTS = Access("staff", permission="payments.read")
STAFF_UNRESOLVED = Access("staff", permission="unresolved.read")
STAFF_DIFFERENCES = Access("staff", permission="differences.read")
STAFF_RESOLVE = Access("staff", permission="differences.resolve")
STAFF_REVEAL = Access("staff", permission="personal.reveal")
STAFF_ACT = Access("staff", permission="citizen.act")
STAFF_AUDIT = Access("staff", permission="disclosures.read")
STAFF_MANAGE = Access("staff", permission="staff.manage")
