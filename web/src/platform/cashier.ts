// How this client pays: which of the server's ways work on this screen, and how one goes to the cashier.
import { call } from '@/api/client'
import type { components } from '@/api/schema'

export type Way = components['schemas']['PaymentMethod']

/** The ways that work here, best first: the cashier's page on a phone, a code to scan on a larger screen. */
export function onThisScreen(methods: Way[]): Way[] {
  let clients = ['mini_program']
  // #ifdef H5
  clients = matchMedia('(pointer: coarse)').matches ? ['phone_browser', 'screen'] : ['screen', 'phone_browser']
  // #endif
  return clients.flatMap((client) => methods.filter((method) => method.client === client))
}

/** Open the cashier of a payment; the result page says what became of it. */
export async function leaveFor(payment: string, way: Way): Promise<void> {
  const result = `/pages/result/index?payment=${payment}`
  const params = await call('post', '/v1/payments/{payment_id}/pay-params', { path: { payment_id: payment } })
  if (params.cashier === 'wechat') {
    await new Promise<void>((resolve) => {
      // Paid or not: only our server knows, so both ends lead to the result page.
      uni.requestPayment({ ...params, provider: 'wxpay', orderInfo: {}, complete: () => resolve() } as unknown as UniNamespace.RequestPaymentOptions)
    })
    await uni.redirectTo({ url: result })
  } else if (way.method === 'native') {
    await uni.redirectTo({ url: `${result}&code=1` })
  } else {
    // #ifdef H5
    // The page stays behind in the history: whoever comes back by the browser's button finds the result, not the button to pay.
    history.replaceState(null, '', `#${result}`)
    location.assign(params.url)
    // #endif
  }
}
