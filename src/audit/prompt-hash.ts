/** The fingerprints that stand in a row instead of what they are taken of. */
import { hash } from 'node:crypto'
import type { Texts } from '../call.ts'

/** Over the texts of the messages as they came, joined by newline. */
export const promptHashOf = ({ text, promptEnd }: Pick<Texts, 'text' | 'promptEnd'>): string => sha256(text.subarray(0, promptEnd))

/** `sha256:` and hex. */
export const sha256 = (bytes: Uint8Array): string => `sha256:${hash('sha256', bytes)}`
