// The login of this client: a short-lived access token in memory, a refresh token that is used once, in storage.
import { reactive } from 'vue'

interface Tokens {
  access_token: string
  expires_in_s: number
  refresh_token: string
  level: number
}

const KEPT = 'lianban.session'
const CLIENT = 'lianban.client'
const EARLY_S = 30

let access = ''
let freshUntil = 0
let renewing: Promise<boolean> | null = null

/** What pages look at: whether somebody is logged in, and how sure we are of who he is. */
export const session = reactive({ inside: false, level: 0 })

/** This device's own number, so that the server knows it again. */
export function clientId(): string {
  let id = uni.getStorageSync(CLIENT) as string
  if (!id) {
    id = Array.from({ length: 4 }, () => Math.floor(Math.random() * 0x1_0000_0000).toString(16).padStart(8, '0')).join('')
    uni.setStorageSync(CLIENT, id)
  }
  return id
}

export function bearer(): Record<string, string> {
  return access ? { Authorization: `Bearer ${access}` } : {}
}

export function enter(tokens: Tokens): void {
  access = tokens.access_token
  freshUntil = Date.now() + (tokens.expires_in_s - EARLY_S) * 1000
  uni.setStorageSync(KEPT, { refresh_token: tokens.refresh_token, level: tokens.level })
  session.inside = true
  session.level = tokens.level
}

export function forget(): void {
  access = ''
  freshUntil = 0
  uni.removeStorageSync(KEPT)
  session.inside = false
  session.level = 0
}

export function restore(): void {
  const kept = uni.getStorageSync(KEPT) as { refresh_token: string; level: number } | ''
  session.inside = Boolean(kept)
  session.level = kept ? kept.level : 0
}

/** True when there is a token that will do for the next call. */
export function isFresh(): boolean {
  return Boolean(access) && Date.now() < freshUntil
}

/** A new access token for the refresh token, once for all who wait; false when one has to log in again. */
export function renew(): Promise<boolean> {
  renewing ??= renewed().finally(() => (renewing = null))
  return renewing
}

async function renewed(): Promise<boolean> {
  const kept = uni.getStorageSync(KEPT) as { refresh_token: string } | ''
  if (!kept) return false
  const { call, Problem } = await import('./client')
  try {
    enter(await call('post', '/v1/sessions/refresh', { body: { refresh_token: kept.refresh_token, client_id: clientId() }, open: true }))
    return true
  } catch (problem) {
    // Without an answer nothing is known: the token may still be good, so it is kept for the next try.
    if (problem instanceof Problem && problem.passes) throw problem
    return false
  }
}
