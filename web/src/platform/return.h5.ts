// H5 only: a cashier sends the browser back to our address with the payment in the query; the page routes by fragment.
export function followReturn(): void {
  const payment = new URLSearchParams(location.search).get('payment')
  if (payment) history.replaceState(null, '', `${location.pathname}#/pages/result/index?payment=${encodeURIComponent(payment)}`)
}
