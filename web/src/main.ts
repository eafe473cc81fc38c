import { createSSRApp } from 'vue'
import App from './App.vue'
// #ifdef H5
import { installA11y } from './platform/a11y.h5'
installA11y()
// #endif

export function createApp() {
  return { app: createSSRApp(App) }
}
