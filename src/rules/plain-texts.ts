import type { Texts } from '../call.ts'

/** Values that stand in no body, each as a text of its own. */
export function textsOf(values: readonly string[]): Texts {
  const text = Buffer.from(values.join('\n'))
  let to = -1
  const slots = values.map((value) => {
    const from = to + 1
    to = from + Buffer.byteLength(value)
    return { role: 'other' as const, start: from, end: to, escaped: false, from, to }
  })
  return { slots, text, promptEnd: text.length, opaqueBytes: 0, sealedBytes: 0 }
}
