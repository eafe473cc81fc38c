"""Routes of the papers of 报装: the form, and the materials that go with it."""

from api import forms, materials
from api.access import ANYBODY, REAL_NAME_FILE
from api.calls import Limit, Route
from api.texts import Page
from core.errors import NotFound
from core.redis import RateLimited
from domain.materials.inspecting import MaterialRefused
from domain.materials.materials import LinkRefused, MaterialInUse, MaterialWithheld, PaperUnknown
from domain.materials.store import StoreAway

ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/v1/forms/application", forms.show_application, ANYBODY, "报装申请表", forms.FormView, query=forms.FormQuery,
        errors=(NotFound,), tagged=True, tag="报装", offline=True,
    ),
    Route(
        "POST", "/v1/materials", materials.upload, REAL_NAME_FILE, "上传材料，一份给各家共用", materials.MaterialView, 201,
        query=materials.UploadQuery, upload=True, limit=Limit(30), errors=(PaperUnknown, MaterialRefused, RateLimited, StoreAway),
        tag="材料", shed="filing",
    ),
    Route(
        "GET", "/v1/materials", materials.list_materials, REAL_NAME_FILE, "我的材料", materials.MaterialList, query=Page, tag="材料", shed="search",
    ),
    Route(
        "DELETE", "/v1/materials/{material_id}", materials.remove, REAL_NAME_FILE, "删除没有用到的材料", None, 204,
        errors=(NotFound, MaterialInUse), tag="材料", shed="filing",
    ),
    Route(
        "POST", "/v1/materials/{material_id}/links", materials.link, REAL_NAME_FILE, "打开材料的链接，五分钟有效", materials.MaterialLink, 201,
        limit=Limit(60), errors=(NotFound, MaterialWithheld, RateLimited), tag="材料", shed="search",
    ),
    Route(
        "GET", "/v1/materials/{material_id}/content", materials.read, REAL_NAME_FILE, "材料的内容", None, query=materials.LinkQuery,
        media_type="application/octet-stream", errors=(NotFound, MaterialWithheld, LinkRefused, StoreAway), tag="材料", shed="search",
    ),
)  # fmt: skip
