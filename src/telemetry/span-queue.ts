/** Spans on their way to the collector: few wait, none is waited for, and what does not arrive is counted and gone. */

export interface SpanQueueOptions<Span> {
  /** The body of a request; undefined where it cannot be made. */
  serialize(spans: Span[]): Uint8Array | undefined
  /** Resolves with the collector's status, within bounds of its own. */
  post(body: Uint8Array): Promise<number>
  /** Once when spans begin to get lost, with the error or the status, and once when they arrive again. */
  onChange?(trouble: { error: unknown } | { status: number } | null): void
  everyMs?: number
}

export interface SpanCounts {
  /** Taken by the collector. */
  sent: number
  /** Not taken. */
  failed: number
  /** There was no room to let them wait. */
  dropped: number
}

/** Spans that wait: some hundred exchanges. */
export const SPANS_MAX = 8_192
/** Of one request. */
const BATCH_MAX = 512
const EVERY_MS = 1_000
/** For all that waits when the process ends. */
export const FLUSH_MS_MAX = 3_000

export function createSpanQueue<Span>({ serialize, post, onChange = () => {}, everyMs = EVERY_MS }: SpanQueueOptions<Span>) {
  const counts: SpanCounts = { sent: 0, failed: 0, dropped: 0 }
  let waiting: Span[] = []
  let timer: NodeJS.Timeout | undefined
  let sending: Promise<void> | null = null
  let isFailing = false

  const told = (trouble: Parameters<typeof onChange>[0]): void => {
    if (isFailing === (trouble !== null)) return
    isFailing = trouble !== null
    onChange(trouble)
  }

  async function sendOne(): Promise<void> {
    const spans = waiting.splice(0, BATCH_MAX)
    try {
      const body = serialize(spans)
      if (!body) throw new Error('Spans could not be written down.')
      const status = await post(body)
      const isTaken = status >= 200 && status < 300
      counts[isTaken ? 'sent' : 'failed'] += spans.length
      told(isTaken ? null : { status })
    } catch (error) {
      counts.failed += spans.length
      told({ error })
    }
  }

  /** One request at a time. */
  function send(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    sending ??= sendOne().finally(() => {
      sending = null
      schedule()
    })
    return sending
  }

  function schedule(): void {
    if (sending || waiting.length === 0) return
    if (waiting.length >= BATCH_MAX) void send()
    else timer ??= setTimeout(send, everyMs).unref()
  }

  return {
    counts: counts as Readonly<SpanCounts>,
    add(span: Span): void {
      if (waiting.length >= SPANS_MAX) {
        counts.dropped++
        return
      }
      waiting.push(span)
      schedule()
    },
    /** Sends what waits, for a bounded time; the rest is dropped. Never rejects. */
    async close(flushMsMax = FLUSH_MS_MAX): Promise<void> {
      let late: NodeJS.Timeout | undefined
      let isLate = false
      const end = new Promise<void>((resolve) => {
        late = setTimeout(() => {
          isLate = true
          resolve()
        }, flushMsMax)
      })
      const all = async (): Promise<void> => {
        while (!isLate && (sending || waiting.length > 0)) await send()
      }
      await Promise.race([all(), end])
      clearTimeout(late)
      clearTimeout(timer)
      counts.dropped += waiting.length
      waiting = []
    },
  }
}
