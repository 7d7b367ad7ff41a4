/** Loaded with --import before the program: puts the short pipeline into the place of the real one. */
import { registerHooks } from 'node:module'

const real = new URL('../../../src/pipeline/pipeline.ts', import.meta.url).href
const short = new URL('./short-pipeline.ts', import.meta.url).href

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context)
    return found.url === real && context.parentURL !== short ? { ...found, url: short } : found
  },
})
