import { detectorNamed, detectors } from './detectors.ts'

const REDACTED = '[REDACTED]'

/** What stands for a finding: `[SSN]`-like for what a detector found, `[REDACTED]` for a phrase or pattern. Always ASCII without quotes or backslashes. */
export const placeholderFor = (detector: string | undefined): string => (detector && detectorNamed(detector)?.placeholder) || REDACTED

const all = [REDACTED, ...detectors.map(({ placeholder }) => placeholder)].map((text) => Buffer.from(text))

/** Whether these bytes are part of one of our placeholders: cutting those again would make a redacted text grow with every round. */
export function isInPlaceholder(text: Buffer, start: number, end: number): boolean {
  return all.some((placeholder) => {
    if (end - start > placeholder.length) return false
    const from = Math.max(0, end - placeholder.length)
    const found = text.subarray(from, start + placeholder.length).indexOf(placeholder)
    return found >= 0 && from + found <= start
  })
}
