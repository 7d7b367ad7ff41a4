/** An OpenTelemetry collector on loopback, which takes traces as JSON and remembers every byte. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface CollectedSpan {
  name: string
  traceId: string
  spanId: string
  parentSpanId: string
  /** 1 internal, 2 server, 3 client. */
  kind: number
  /** 2 where it failed. */
  status: number
  /** Milliseconds since 1970. */
  start: number
  end: number
  attributes: Record<string, unknown>
}

export interface Collector {
  origin: string
  /** Every byte that arrived: heads and bodies. */
  readonly bytes: Buffer
  readonly requests: { path: string; headers: NodeJS.Dict<string | string[]> }[]
  readonly spans: CollectedSpan[]
  /** Of the resource of every request. */
  readonly resources: Record<string, unknown>[]
  /** What it answers. */
  status: number
  /** Those of one trace, in the order in which they began. */
  of(traceId: string): CollectedSpan[]
  close(): void
}

export async function startCollector(): Promise<Collector> {
  const chunks: Buffer[] = []
  const server = createServer((request, response) => {
    const body: Buffer[] = []
    request.on('data', (chunk: Buffer) => body.push(chunk))
    request.on('end', () => {
      chunks.push(Buffer.from(`${request.rawHeaders.join('\n')}\n`), ...body)
      collector.requests.push({ path: request.url ?? '', headers: request.headers })
      if (collector.status === 200) read(Buffer.concat(body), collector)
      response.writeHead(collector.status, { 'content-type': 'application/json' }).end('{}')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const collector: Collector = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get bytes() {
      return Buffer.concat(chunks)
    },
    requests: [],
    spans: [],
    resources: [],
    status: 200,
    of: (traceId) => collector.spans.filter((span) => span.traceId === traceId).sort((a, b) => a.start - b.start),
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
  return collector
}

interface Value {
  stringValue?: string
  intValue?: number | string
  doubleValue?: number
  boolValue?: boolean
  arrayValue?: { values: Value[] }
}
interface Attribute {
  key: string
  value: Value
}
interface Written {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  status: { code: number }
  attributes: Attribute[]
}
interface Export {
  resourceSpans: { resource: { attributes: Attribute[] }; scopeSpans: { spans: Written[] }[] }[]
}

function read(body: Buffer, { spans, resources }: Collector): void {
  for (const { resource, scopeSpans } of (JSON.parse(body.toString()) as Export).resourceSpans) {
    resources.push(plain(resource.attributes))
    for (const span of scopeSpans.flatMap((scope) => scope.spans))
      spans.push({
        name: span.name,
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? '',
        kind: span.kind,
        status: span.status.code,
        start: Number(BigInt(span.startTimeUnixNano) / 1000n) / 1000,
        end: Number(BigInt(span.endTimeUnixNano) / 1000n) / 1000,
        attributes: plain(span.attributes),
      })
  }
}

const plain = (attributes: readonly Attribute[]): Record<string, unknown> => Object.fromEntries(attributes.map(({ key, value }) => [key, told(value)]))
const told = ({ stringValue, intValue, doubleValue, boolValue, arrayValue }: Value): unknown =>
  stringValue ?? (intValue === undefined ? undefined : Number(intValue)) ?? doubleValue ?? boolValue ?? arrayValue?.values.map(told)
