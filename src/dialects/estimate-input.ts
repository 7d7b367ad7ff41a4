import type { ModelCall } from '../call.ts'

/** A rule of thumb, and what English takes: who needs the truth asks the provider to count. */
export const BYTES_PER_TOKEN = 4

/** Input tokens of a call: a quarter of the bytes of all its texts, without the line breaks that join them. Media are left out. */
export const estimateInput = ({ text, slots }: Pick<ModelCall, 'text' | 'slots'>): number =>
  Math.ceil((text.length - Math.max(0, slots.length - 1)) / BYTES_PER_TOKEN)
