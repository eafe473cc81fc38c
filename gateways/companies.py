"""The companies' gateway (docs/company-gateway.md): our side of it.

The names of `gateways.company_types` are offered here too; other rooms import them from this module.
"""

from gateways.company_types import (
    Account as Account,
)
