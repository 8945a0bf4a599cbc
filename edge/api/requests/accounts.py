"""What clients may ask of usage and credits."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from edge.api.requests.fields import ApiModel, FormModel

MAX_PAGE = 1000
MAX_CURSOR = 2048
MAX_NOTE = 200

Limit = Annotated[int, Field(ge=1, le=MAX_PAGE)]
Cursor = Annotated[str, Field(min_length=1, max_length=MAX_CURSOR)]


class UsageQuery(FormModel):
    start_date: date | None = Field(
        default=None, description="First UTC day, YYYY-MM-DD; 29 days before the last one when absent"
    )
    end_date: date | None = Field(default=None, description="Last UTC day; today when absent")
    scope: Literal["key", "tenant"] = Field(
        default="key",
        description="`tenant` reports all keys of one's tenant; needs the scope keys",
    )
    group_by: Annotated[str, Field(max_length=100)] = Field(
        default="day,model",
        description="What rows of `data` are divided by: day, model, adapter, region, service, path, key_id; "
        "several with commas",
    )
    limit: Limit = Field(default=100, description="Rows of `data` in one answer")
    cursor: Cursor | None = Field(default=None, description="`next_cursor` of the answer before")


class CreditsQuery(FormModel):
    limit: Limit = Field(default=100, description="Entries of the ledger in one answer")
    cursor: Cursor | None = Field(default=None, description="`next_cursor` of the answer before")


class GrantRequest(ApiModel):
    tenant_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    amount_micro: Annotated[int, Field(ge=-(10**15), le=10**15)] = Field(
        description="In millionths of the currency's unit; below zero takes credits away"
    )
    note: Annotated[str, Field(max_length=MAX_NOTE)] = ""
