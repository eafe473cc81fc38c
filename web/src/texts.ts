// Every word a person reads on these pages, in one place.
export const texts = {
  city: '鄂州',
  title: '鄂州水电气网',
  retry: '重试',
  back: '返回',
  home: '回首页',
  loading: '正在查询…',
  problemNumber: '问题编号',
  again: '还是没有成功。可以稍后再试，或到就近的营业厅办理。',
  login: {
    title: '登录',
    why: '登录后才能看您家的账单。',
    unified: '用鄂汇办登录',
    consent: '我已阅读并同意《用户协议》和《隐私说明》',
    consentFirst: '先勾选同意，再登录',
    failed: '没有登录成功，请重新点一次登录。',
    leaving: '正在打开登录页…',
  },
  owed: {
    hero: '待缴',
    known: '已知合计',
    none: '都缴清了',
    unknown: '暂时查不到',
    loggedOut: '登录后看自家水电气网',
    noAccounts: '先添加一个户号，以后自动查账单',
    pay: '去缴费',
    silent: '暂时没有回复，其他都已显示',
    asOf: '截至',
    bills: '笔账单',
    balance: '余额',
  },
  messages: {
    title: '消息',
    empty: '还没有消息',
    more: '更早的消息',
  },
  bind: {
    title: '添加户号',
    company: '哪一家的',
    button: '确认添加',
    chooseFirst: '选择收费单位',
    numberFirst: '填写户号',
    proofFirst: '填写验证信息',
  },
  bills: {
    title: '账单',
    open: '待缴',
    paid: '已入账',
    paidSoFar: '已缴',
    void: '已作废',
    due: '前缴',
    overdue: '已过期',
    lateFee: '违约金',
    empty: '还没有账单',
    more: '更早的账单',
    pay: '缴这个户号',
  },
  pay: {
    title: '缴费确认',
    total: '合计',
    method: '缴费方式',
    button: '缴费',
    left: '暂时不能缴',
    others: '先缴其他几家',
    changed: '收费单位刚更新了账单，按新金额核对后再缴',
    nothing: '没有要缴的账单',
    scan: '用手机扫码付款',
    opening: '正在打开收银台…',
  },
  result: {
    title: '缴费结果',
    goOn: '继续缴费',
    done: '完成',
  },
} as const

/** Why the login page sent the browser back without a login, by the server's code (`#error=`): what happened, and the next step. */
export const loginErrors: Record<string, string> = {
  login_state_refused: '这次登录已经失效，可能等得太久，或者换了浏览器。请重新点一次登录。',
  login_return_refused: '您取消了登录，或者登录平台没有确认。请重新点一次登录。',
  login_code_refused: '登录平台没有认可这次登录。请重新点一次登录。',
  login_code_replayed: '这次登录已经用过了。请重新点一次登录，不要刷新或后退到登录的页面。',
  identity_source_away: '登录平台暂时没有回复。请过一会儿再登录。',
}

export const services: Record<string, string> = { water: '水', power: '电', gas: '气', network: '网' }

type Tone = 'ok' | 'warn' | 'bad' | 'info'

/** What is said of a payment or of one company's part of it, by the server's word for how it stands. */
export const progressWords: Record<string, { tone: Tone; tag: string; title: string; hint: string }> = {
  asking: { tone: 'info', tag: '确认中', title: '正在确认', hint: '正在核对付款结果，别重复缴。' },
  waiting: { tone: 'info', tag: '待付款', title: '还没收到付款', hint: '没有付，点“继续缴费”，用的是同一单；已经付了，别再缴，收到后这里会变。' },
  posting: { tone: 'info', tag: '入账中', title: '已收款，入账中', hint: '钱已收到，入账一般几分钟。' },
  posted: { tone: 'ok', tag: '已入账', title: '缴费成功', hint: '' },
  posted_in_part: { tone: 'warn', tag: '部分退回', title: '有一家没能入账，已退回', hint: '其他几家已经入账。退回的钱到原支付账户。' },
  refunding: { tone: 'warn', tag: '退款中', title: '没能入账，正在退回', hint: '退回原支付账户，一般 1–3 个工作日。' },
  refunded: { tone: 'ok', tag: '已退回', title: '已退回', hint: '钱已退回原支付账户。' },
  refund_stuck: { tone: 'bad', tag: '要您帮忙', title: '退款要您帮忙', hint: '原支付账户退不回去，收费单位会和您联系。' },
  closed: { tone: 'info', tag: '已关闭', title: '这一单已过期', hint: '没有扣款。账单可能更新了，重新核对。' },
  failed: { tone: 'bad', tag: '没有缴成', title: '没有缴成', hint: '没有扣款。换一种方式再缴。' },
}
