/** How a call's headers say of which trace it is a part: W3C Trace Context, level 1. */

export interface TraceContext {
  /** 32 and 16 hexadecimal digits. */
  traceId: string
  spanId: string
  /** Whether whoever called records the trace. */
  isSampled: boolean
}

/** Version, trace, parent, flags, and what a later version may have added behind another hyphen. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const NOTHING = /^0+$/
const SAMPLED = 1

/** The value of `traceparent`; null where it is missing or is not to be used (section 3.2 of the specification): the trace then begins here. */
export function readTraceparent(value: string | readonly string[] | undefined): TraceContext | null {
  const [, version, traceId = '', spanId = '', flags = '', more] = TRACEPARENT.exec(typeof value === 'string' ? value : '') ?? []
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return null
  if (NOTHING.test(traceId) || NOTHING.test(spanId)) return null
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 }
}

/** The same as it is sent on: in version 00, with no flag but the one about sampling. */
export const writeTraceparent = ({ traceId, spanId, isSampled }: TraceContext): string => `00-${traceId}-${spanId}-0${isSampled ? SAMPLED : 0}`
