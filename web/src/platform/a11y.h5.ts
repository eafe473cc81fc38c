// H5 only: the framework renders <uni-button> and <uni-view> without role, focus or keyboard. All three come from here.
const ACTING = 'uni-button,[role=button],[role=link],[role=checkbox],[role=radio]'

function mend(root: ParentNode): void {
  root.querySelectorAll<HTMLElement>('uni-button:not([role])').forEach((element) => element.setAttribute('role', 'button'))
  root.querySelectorAll<HTMLElement>(ACTING).forEach((element) => {
    if (!element.hasAttribute('tabindex')) element.tabIndex = 0
  })
}

export function installA11y(): void {
  new MutationObserver(() => mend(document)).observe(document.documentElement, { childList: true, subtree: true })
  document.addEventListener('keydown', (event) => {
    const target = event.target as HTMLElement
    if ((event.key === 'Enter' || event.key === ' ') && target.matches(ACTING)) {
      event.preventDefault()
      target.click()
    }
  })
}
