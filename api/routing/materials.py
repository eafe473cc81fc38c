"""Routes of the papers of 报装: the form, and the materials that go with it."""

from api import credit, forms, materials, papers
from api.access import ANYBODY, REAL_NAME_FILE, REAL_NAME_SIGN, STAFF_CREDIT, STAFF_REVEAL
from api.calls import Limit, Route
from api.staff import credit as staff_credit
from api.staff import papers as staff_papers
from api.texts import Page
from core.errors import NotFound
from core.redis import RateLimited
from domain.materials.inspecting import MaterialRefused
from domain.materials.materials import LinkRefused, MaterialInUse, MaterialWithheld, PaperUnknown
from domain.materials.needs import NotADraft, RequirementUnknown
from domain.materials.store import StoreAway
from domain.materials.tolerances import (
    AlreadyPromised,
    NotDeferrable,
    PromiseBarred,
    PromiseDayRefused,
    StatementChanged,
)
from models.lifecycle import IllegalMove

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
    Route(
        "GET", "/v1/applications/{application_id}/papers", papers.list_needs, REAL_NAME_FILE, "这件申请要哪些材料，还差哪些", papers.NeedList,
        errors=(NotFound,), tag="材料", shed="search",
    ),
    Route(
        "POST", "/v1/applications/{application_id}/papers", papers.attach, REAL_NAME_FILE, "把材料用到申请里", papers.NeedList, 201,
        body=papers.PaperAdded, errors=(NotFound, RequirementUnknown, MaterialWithheld),
        example={"requirement": "property", "material_id": "{property_material_id}"}, tag="材料", shed="filing",
    ),
    Route(
        "DELETE", "/v1/applications/{application_id}/papers/{material_id}", papers.detach, REAL_NAME_FILE, "从草稿里拿掉材料", None, 204,
        errors=(NotFound, NotADraft), tag="材料", shed="filing",
    ),
    Route(
        "POST", "/v1/applications/{application_id}/promises/statement", papers.state_promise, REAL_NAME_FILE, "以后补材料，要签的承诺",
        papers.PromiseStatement, body=papers.PromiseRequest, errors=(NotFound, NotDeferrable, PromiseDayRefused),
        example={"requirements": ["property"], "promised_for": "{promised_for}"}, tag="材料", shed="search",
    ),
    Route(
        "POST", "/v1/applications/{application_id}/promises", papers.sign_promise, REAL_NAME_SIGN, "签下以后补材料的承诺", papers.NeedList, 201,
        body=papers.PromiseSignature, limit=Limit(20),
        errors=(NotFound, NotDeferrable, PromiseDayRefused, StatementChanged, PromiseBarred, AlreadyPromised, RateLimited),
        example={"requirements": ["property"], "promised_for": "{promised_for}", "statement_sha256": "{statement_sha256}"}, tag="材料", shed="filing",
    ),
    Route(
        "POST", "/v1/paper-contests", papers.contest, REAL_NAME_FILE, "免交的依据不对", papers.ContestView, 201, body=papers.ContestRequest,
        limit=Limit(20), errors=(RateLimited,), example={"paper": "property_proof", "evidence_source": "former_case", "note": "那是旧房产证"},
        tag="材料", shed="filing",
    ),
    Route(
        "DELETE", "/v1/paper-contests/{contest_id}", papers.withdraw_contest, REAL_NAME_FILE, "免交的依据没有不对", None, 204,
        errors=(NotFound,), tag="材料", shed="filing",
    ),
    Route(
        "GET", "/v1/credit-records", credit.list_records, REAL_NAME_FILE, "我的信用记录", credit.CreditList, tag="信用", shed="search",
    ),
    Route(
        "POST", "/v1/credit-records/{record_id}/objection", credit.object_to, REAL_NAME_FILE, "对信用记录提出申诉", credit.CreditView,
        body=credit.Objection, errors=(NotFound, IllegalMove), example={"words": "材料三天前已经寄出，单号见附件"}, tag="信用", shed="filing",
    ),
    Route(
        "GET", "/staff/v1/credit-records", staff_credit.list_records, STAFF_CREDIT, "没有结束的信用记录和申诉", staff_credit.WaitingRecords,
        query=Page, tag="信用", shed="search",
    ),
    Route(
        "POST", "/staff/v1/credit-records/{record_id}/decision", staff_credit.decide, STAFF_CREDIT, "处理申诉，或者修复信用记录",
        credit.CreditView, body=staff_credit.CreditDecision, errors=(NotFound, IllegalMove),
        example={"decision": "dismiss_objection", "reason": "快递单号查无此件"}, tag="信用", shed="filing",
    ),
    Route(
        "POST", "/staff/v1/service-orders/{order_id}/credit-record", staff_credit.note_deceit, STAFF_CREDIT,
        "查实是弄虚作假，拟记入信用档案（先告知，可以申诉）", credit.CreditView, 201, body=staff_credit.DeceitFinding, errors=(NotFound,),
        example={"reason": "向不动产登记部门查实，证号不存在"}, tag="信用", shed="filing",
    ),
    Route(
        "GET", "/staff/v1/service-orders/{order_id}/materials", staff_papers.list_papers, STAFF_REVEAL, "这个子单能看的材料",
        staff_papers.OrderMaterials, errors=(NotFound,), tag="材料", shed="search",
    ),
    Route(
        "POST", "/staff/v1/service-orders/{order_id}/materials/{material_id}/links", staff_papers.link, STAFF_REVEAL, "写明用途，打开一份材料",
        materials.MaterialLink, 201, body=staff_papers.MaterialReveal, limit=Limit(60), errors=(NotFound, MaterialWithheld, RateLimited),
        example={"reading_purpose": "handling", "note": "核对产权证上的地址"}, tag="材料", shed="search",
    ),
    Route(
        "GET", "/staff/v1/service-orders/{order_id}/materials/{material_id}/content", staff_papers.read, STAFF_REVEAL, "打开的材料的内容", None,
        query=materials.LinkQuery, media_type="application/octet-stream", errors=(NotFound, MaterialWithheld, LinkRefused, StoreAway), tag="材料",
        shed="search",
    ),
)  # fmt: skip
