// One way to call the server: the same code on H5 and in the mini-program. Types come from the server's own contract.
import type { paths } from './schema'
import { bearer, renew, forget } from './session'

type Method = 'get' | 'post' | 'put' | 'delete'
type Having<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, infer O> ? (O extends undefined ? never : P) : never
}[keyof paths]
type Operation<P extends keyof paths, M extends Method> = NonNullable<paths[P][M & keyof paths[P]]>
type Parameters<O> = O extends { parameters: infer A } ? A : never
type Query<O> = Parameters<O> extends { query?: infer X } ? NonNullable<X> : never
type Path<O> = Parameters<O> extends { path: infer X } ? X : never
type Body<O> = O extends { requestBody: { content: { 'application/json': infer X } } } ? X : never
type Answers<R> = R extends { 200: infer A } ? A : R extends { 201: infer B } ? B : never
type Answer<O> = O extends { responses: infer R }
  ? Answers<R> extends { content: { 'application/json': infer X } }
    ? X
    : void
  : never
type Asked<O> = ([Path<O>] extends [never] ? object : { path: Path<O> }) &
  ([Query<O>] extends [never] ? object : { query?: Query<O> }) &
  ([Body<O>] extends [never] ? object : { body: Body<O> }) & { key?: string; open?: boolean }

/** What went wrong, in the server's words: `title` for the person, `code` for us. Status 0: no answer at all. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    readonly data: Record<string, unknown> = {},
    readonly requestId = '',
  ) {
    super(code)
  }

  /** True when asking again later may help and nothing is known to have happened. */
  get passes(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500
  }
}

let base = ''
// #ifndef H5
base = import.meta.env.VITE_API_BASE || ''
// #endif

const READ_MS = 8_000
const WRITE_MS = 15_000

function sent(method: Method, url: string, body: unknown, headers: Record<string, string>): Promise<any> {
  return new Promise((resolve, reject) => {
    uni.request({
      url: base + url,
      method: method.toUpperCase() as 'GET',
      data: body as object,
      timeout: method === 'get' ? READ_MS : WRITE_MS,
      header: body === undefined ? headers : { 'Content-Type': 'application/json', ...headers },
      success: (answer) => {
        if (answer.statusCode >= 200 && answer.statusCode < 300) return resolve(answer.data)
        const said = (typeof answer.data === 'object' && answer.data ? answer.data : {}) as Record<string, any>
        reject(new Problem(answer.statusCode, said.code ?? 'unknown', said.detail ?? said.title ?? '', said, said.request_id))
      },
      fail: () => reject(new Problem(0, 'network_away', '网络断了，连上后点“重试”。')),
    })
  })
}

/** Call an operation of the contract. `key` is the Idempotency-Key: keep it over retries of the same act. */
export async function call<M extends Method, P extends Having<M> & string>(
  method: M,
  url: P,
  asked: Asked<Operation<P, M>>,
): Promise<Answer<Operation<P, M>>> {
  const { path, query, body, key, open } = asked as {
    path?: Record<string, string>
    query?: Record<string, unknown>
    body?: unknown
    key?: string
    open?: boolean
  }
  let target = url.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(String(path?.[name])))
  const pairs = Object.entries(query ?? {}).filter(([, value]) => value != null)
  if (pairs.length) target += `?${pairs.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join('&')}`
  const headers = (): Record<string, string> => ({ ...(open ? {} : bearer()), ...(key ? { 'Idempotency-Key': key } : {}) })
  try {
    return await sent(method, target, body, headers())
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 401 || open) throw problem
    if (!(await renew())) {
      forget()
      throw problem
    }
    return await sent(method, target, body, headers())
  }
}

/** A new key for one act of the person. */
export function newKey(): string {
  let key = ''
  for (let part = 0; part < 4; part++) key += Math.floor(Math.random() * 0x1_0000_0000).toString(16).padStart(8, '0')
  return key
}
