import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Gives back what is no longer needed, in some 100 ms. V8 does so only when its heap has grown by half: what a start leaves behind would stay for as long as
 * nobody calls.
 */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect: (how: { type: 'major'; flavor: 'last-resort' }) => void = runInNewContext('gc')
  setFlagsFromString('--no-expose-gc')
  collect({ type: 'major', flavor: 'last-resort' }) // that gives the room for what is new back too
}
