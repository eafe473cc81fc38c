// Money, days and masked numbers as people read them. Money is integer fen everywhere but here.

export function yuan(fen: number): string {
  const whole = Math.trunc(Math.abs(fen) / 100).toString()
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ',')
  return `${fen < 0 ? '-' : ''}¥${grouped}.${String(Math.abs(fen) % 100).padStart(2, '0')}`
}

/** What a screen reader says for an amount. */
export function spokenYuan(fen: number): string {
  const [yuanPart, jiao, rest] = [Math.trunc(fen / 100), Math.trunc((fen % 100) / 10), fen % 10]
  return `${yuanPart}元${jiao || rest ? `${jiao}角` : ''}${rest ? `${rest}分` : ''}`
}

const WEEK = ['日', '一', '二', '三', '四', '五', '六']

/** 11月30日（周一）; the year only when it is another one. `day` is YYYY-MM-DD or a time with its offset. */
export function dayText(day: string, today: Date = new Date()): string {
  const date = day.length === 10 ? new Date(`${day}T00:00:00+08:00`) : new Date(day)
  const local = new Date(date.getTime() + 8 * 3600_000)
  const year = local.getUTCFullYear() === today.getFullYear() ? '' : `${local.getUTCFullYear()}年`
  return `${year}${local.getUTCMonth() + 1}月${local.getUTCDate()}日（周${WEEK[local.getUTCDay()]}）`
}

/** 10:05 in Beijing time. */
export function clockText(at: string): string {
  const local = new Date(new Date(at).getTime() + 8 * 3600_000)
  return `${String(local.getUTCHours()).padStart(2, '0')}:${String(local.getUTCMinutes()).padStart(2, '0')}`
}

/** 2026-10 → 10月; with the year when it is another one. */
export function periodText(period: string, today: Date = new Date()): string {
  const [year, month] = period.split('-').map(Number)
  return year === today.getFullYear() ? `${month}月` : `${year}年${month}月`
}
