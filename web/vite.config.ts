import { defineConfig, type Plugin } from 'vite'
import uniPlugin from '@dcloudio/vite-plugin-uni'

// A CJS package: under "type": "module" its default export is wrapped.
const uni = ((uniPlugin as any).default ?? uniPlugin) as typeof uniPlugin

// The framework's own style sheet fetches a picture from a foreign host; this page calls nobody but its server.
const callsNobody: Plugin = {
  name: 'calls-nobody',
  generateBundle(_, bundle) {
    for (const file of Object.values(bundle))
      if (file.type === 'asset' && file.fileName.endsWith('.css'))
        file.source = String(file.source).replace(/url\(https?:[^)]*\)/g, 'none')
  },
}

export default defineConfig({
  base: './',
  plugins: [uni(), callsNobody],
  resolve: { alias: { '@': new URL('./src', import.meta.url).pathname } },
})
