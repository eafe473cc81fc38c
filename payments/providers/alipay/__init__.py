"""Alipay's open platform behind the port: one application, for which each company has authorised us or which is its own."""
