import { createSSRApp } from 'vue'
import App from './App.vue'
// #ifdef H5
import { installA11y } from './platform/a11y.h5'
import { followReturn } from './platform/return.h5'
installA11y()
followReturn()
// #endif

export function createApp() {
  return { app: createSSRApp(App) }
}
