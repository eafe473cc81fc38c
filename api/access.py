"""Who may call, by the names the table of routes uses."""

from api.calls import Access

ANYBODY = Access("anybody")
WECHAT = Access("person", 1)
PHONE = Access("person", 2)
COMPANY = Access("company")
PLATFORM = Access("platform")
STAFF = Access("staff")
STAFF_MANAGE = Access("staff", permission="staff.manage")
