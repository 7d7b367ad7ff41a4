/** Traces, made with OpenTelemetry, none of which is loaded before somebody asks for them. What spans say is named field by field, and is no text of a call. */
import { createSpanQueue, type SpanCounts, type SpanQueueOptions } from './span-queue.ts'
import { type TraceContext, writeTraceparent } from './trace-context.ts'

export type SpanAttributes = Record<string, string | number | boolean | string[] | undefined>

export interface TracingOptions extends Pick<SpanQueueOptions<never>, 'post' | 'onChange'> {
  version: string
  /** Of the process. */
  instance: string
  environment: string
  /** Of the traces that begin here, this share is recorded, 0..1. */
  sampledShare: number
  everyMs?: number
}

export interface Tracing {
  readonly counts: Readonly<SpanCounts>
  /** What is given is on the monotonic clock, in milliseconds. */
  begin(name: string, parent: TraceContext | null, startedAt: number): ExchangeTrace
  /** Sends what waits, for a bounded time. Never rejects. */
  close(): Promise<void>
}

/** Of one exchange. Nothing of it leaves before `end`, and nothing at all where that is never called: strangers make no traces. */
export interface ExchangeTrace {
  /** Null where it is not recorded. */
  readonly traceId: string | null
  /** The stage before it is over. */
  stage(name: string): void
  /** A request to somebody else, which is part of the stage. */
  request(name: string, attributes: SpanAttributes): RequestTrace
  /** `error` says in a word what went wrong, and `stage` in which one. */
  end(attributes: SpanAttributes, failure: { error: string; stage: string | null } | null): void
}

export interface RequestTrace {
  /** For the header of that name. */
  readonly traceparent: string
  /** It is over; `error` as above. */
  ended(attributes: SpanAttributes, error: string | null): void
  /** What is known only later. */
  add(attributes: SpanAttributes): void
}

const ERROR_TYPE = 'error.type'

/** Loads OpenTelemetry. */
export async function createTracing({ version, instance, environment, sampledShare, ...delivery }: TracingOptions): Promise<Tracing> {
  const [{ ROOT_CONTEXT, SpanKind, SpanStatusCode, trace }, sdk, { resourceFromAttributes }, { JsonTraceSerializer }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/otlp-transformer'),
  ])
  type Span = ReturnType<ReturnType<typeof trace.getTracer>['startSpan']>
  type Ended = Parameters<import('@opentelemetry/sdk-trace').SpanProcessor['onEnd']>[0]

  const queue = createSpanQueue<Ended>({ serialize: (spans) => JsonTraceSerializer.serializeRequest(spans), ...delivery })
  const done = async (): Promise<void> => {}
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'earthflow',
      'service.version': version,
      'service.instance.id': instance,
      'deployment.environment.name': environment,
    }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(sampledShare) }),
    spanProcessors: [{ onStart() {}, onEnd: queue.add, forceFlush: done, shutdown: done }],
  })
  const tracer = provider.getTracer('earthflow', version)

  const contextOf = ({ traceId, spanId, isSampled }: TraceContext) =>
    trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: isSampled ? 1 : 0, isRemote: true })
  const traceparentOf = (span: Span): string => {
    const { traceId, spanId, traceFlags } = span.spanContext()
    return writeTraceparent({ traceId, spanId, isSampled: (traceFlags & 1) !== 0 })
  }
  const failed = (span: Span, error: string): void => {
    span.setStatus({ code: SpanStatusCode.ERROR })
    span.setAttribute(ERROR_TYPE, error)
  }

  /** A span, and when it was over; null: it is not yet. */
  interface Part {
    name: string
    span: Span
    endedAt: number | null
  }

  class Recorded implements ExchangeTrace {
    readonly traceId: string
    readonly #root: Span
    readonly #parts: Part[] = []
    #stage: Part | null = null
    /** From the monotonic clock to milliseconds since 1970: the library would ask the coarser clock anew for each span, and so put them out of order. */
    readonly #offset: number
    constructor(root: Span, offset: number) {
      this.#root = root
      this.#offset = offset
      this.traceId = root.spanContext().traceId
    }
    stage(name: string): void {
      const at = performance.now()
      if (this.#stage) this.#stage.endedAt = at
      this.#stage = this.#begin(name, SpanKind.INTERNAL, this.#root, at)
    }
    request(name: string, attributes: SpanAttributes): RequestTrace {
      const part = this.#begin(name, SpanKind.CLIENT, this.#stage?.span ?? this.#root, performance.now())
      const { span } = part
      span.setAttributes(attributes)
      return {
        traceparent: traceparentOf(span),
        ended(attributes, error) {
          part.endedAt = performance.now()
          span.setAttributes(attributes)
          if (error !== null) failed(span, error)
        },
        add: (attributes) => void span.setAttributes(attributes),
      }
    }
    end(attributes: SpanAttributes, failure: { error: string; stage: string | null } | null): void {
      const at = performance.now()
      const root = this.#root
      if (failure) failed(root, failure.error)
      for (const { name, span, endedAt } of this.#parts) {
        if (failure && name === failure.stage) failed(span, failure.error)
        span.end(this.#offset + (endedAt ?? at))
      }
      root.setAttributes(attributes)
      root.end(this.#offset + at)
    }
    #begin(name: string, kind: import('@opentelemetry/api').SpanKind, parent: Span, at: number): Part {
      const startTime = this.#offset + at
      const part = { name, span: tracer.startSpan(name, { kind, startTime }, trace.setSpan(ROOT_CONTEXT, parent)), endedAt: null }
      this.#parts.push(part)
      return part
    }
  }

  return {
    counts: queue.counts,
    begin(name, parent, startedAt) {
      const offset = Date.now() - performance.now()
      const startTime = offset + startedAt
      const root = tracer.startSpan(name, { kind: SpanKind.SERVER, startTime }, parent ? contextOf(parent) : ROOT_CONTEXT)
      return root.isRecording() ? new Recorded(root, offset) : unrecorded(traceparentOf(root))
    },
    close: () => queue.close(),
  }
}

/** Whoever is called learns that nobody records this trace. */
const unrecorded = (traceparent: string): ExchangeTrace => ({
  traceId: null,
  stage() {},
  request: () => ({ traceparent, ended() {}, add() {} }),
  end() {},
})
