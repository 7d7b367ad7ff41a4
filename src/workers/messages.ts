/** What the primary and its workers say to each other. */
import type { Lead } from '../drain.ts'
import type { Figures } from '../telemetry/sum-figures.ts'
import type { Nudge } from '../tending.ts'

export type FromWorker =
  /** It listens. */
  | { say: 'ready'; port: number; caPath: string | null }
  /** It was told by somebody else to end, and does. */
  | { say: 'leaving' }
  | { say: 'nudge'; what: Nudge[] }
  /** The metrics of all processes, please. */
  | { say: 'page'; ask: number }
  /** Its own metrics, as it was asked for; by itself (null) the last ones it will ever have. */
  | { say: 'figures'; ask: number | null; figures: Figures }

export type FromPrimary =
  | { say: 'leave'; lead: Lead }
  /** Cut what is still under way. */
  | { say: 'hurry' }
  /** Its own metrics, please: for a page, or just to hear from it. */
  | { say: 'figures'; ask: number }
  /** Null: not every process has told its part in time. */
  | { say: 'page'; ask: number; text: string | null }
