/** Asks a provider for its models with the credential that is stored for it: the cheapest request that shows that address, certificate and key are right. */
import type { Pool } from 'undici'
import type { Dialect } from '../dialects/dialect.ts'
import { anthropicNative, azureNative, geminiNative, openaiNative, vendorOf } from '../dialects/index.ts'
import type { EgressPoolOptions } from '../egress/dispatcher.ts'
import { Refusal } from '../errors.ts'
import { liesIn, outsideRegions } from './regions.ts'
import { codeOf } from './send.ts'
import type { UpstreamRow } from './store.ts'
import { pathOn, SANDBOX_URL } from './upstream.ts'

export interface UpstreamCheck {
  /** The provider answered as one that would take calls. */
  ok: boolean
  /** What it answered; null where nothing came. */
  status: number | null
  latency_ms: number
  /** How many models it named; null where it named none, or in no way that is known. */
  models: number | null
  /** What is wrong, in a sentence of ours: never the provider's words, which may repeat the credential. */
  problem: string | null
}

export interface CheckOptions {
  credentialOf(row: UpstreamRow): Promise<string | null>
  /** Connections to an origin, for one check. */
  pool(origin: string, options: EgressPoolOptions): Pool
  /** Connections to the built-in sandbox; null where there is none. */
  sandbox: ((options: EgressPoolOptions) => Pool) | null
  /** EARTHFLOW_LOCALITY, where it names regions: an upstream elsewhere is not asked. */
  regions?: readonly string[] | null
}

/** Connecting, thinking and the whole answer together. */
const CHECK_MS_MAX = 10_000
const ANSWER_BYTES_MAX = 4 << 20
const CHECKS_AT_ONCE_MAX = 8
const RETRY_AFTER_SECONDS = 1
const options: EgressPoolOptions = { connections: 1, connectMs: 5_000, firstByteMs: CHECK_MS_MAX, idleMs: CHECK_MS_MAX, responseBytesMax: ANSWER_BYTES_MAX }

/** Throws a Refusal where too many checks are under way, and what `credentialOf` throws; what the provider does wrong is an answer. */
export function createUpstreamCheck({ credentialOf, pool, sandbox, regions = null }: CheckOptions): (row: UpstreamRow) => Promise<UpstreamCheck> {
  let underWay = 0
  return async (row) => {
    if (!liesIn(row, regions)) return { ok: false, status: null, latency_ms: 0, models: null, problem: `${outsideRegions(regions ?? [])} It is not asked.` }
    if (underWay >= CHECKS_AT_ONCE_MAX) {
      throw new Refusal('unavailable', 'Too many upstreams are being checked at once; try again.', { headers: ['retry-after', String(RETRY_AFTER_SECONDS)] })
    }
    underWay++
    try {
      const credential = await credentialOf(row)
      return await check(row, credential)
    } finally {
      underWay--
    }
  }

  async function check(row: UpstreamRow, credential: string | null): Promise<UpstreamCheck> {
    const began = performance.now()
    const passed = (): number => Math.round(performance.now() - began)
    let connection: Pool | undefined
    try {
      const { origin, basePath } = row.baseUrl === SANDBOX_URL ? { origin: null, basePath: null } : placeOf(row.baseUrl)
      connection = origin === null ? sandbox?.(options) : pool(origin, options)
      if (!connection) return { ok: false, status: null, latency_ms: passed(), models: null, problem: 'The sandbox is for development only.' }
      const { dialect, path } = askedOf(row)
      const { statusCode, body } = await connection.request({
        method: 'GET',
        path: pathOn({ basePath }, { kind: 'models', dialect, path, model: null, upstream: null }) + dialect.vendor.models.query,
        headers: headersFor(dialect, credential),
        signal: AbortSignal.timeout(CHECK_MS_MAX),
      })
      const text = await body.text()
      const latency_ms = passed()
      const problem = problemWith(statusCode, row.credentialMode === 'passthrough')
      return { ok: problem === null, status: statusCode, latency_ms, models: statusCode === 200 ? countModels(dialect, text) : null, problem }
    } catch (error) {
      return { ok: false, status: null, latency_ms: passed(), models: null, problem: sentenceFor(error) }
    } finally {
      connection?.destroy().catch(() => {}) // one that is closed already is as good
    }
  }
}

const natives: Readonly<Record<string, { dialect: Dialect; path: string }>> = {
  openai: { dialect: openaiNative, path: '/v1/models' },
  azure: { dialect: azureNative, path: '/openai/v1/models' },
  anthropic: { dialect: anthropicNative, path: '/v1/models' },
  gemini: { dialect: geminiNative, path: '/v1beta/models' },
}

/** Of an upstream that speaks the formats of several vendors, the first is asked. */
function askedOf({ baseUrl, dialects: [first = ''] }: UpstreamRow): { dialect: Dialect; path: string } {
  const isAzure = URL.parse(baseUrl)?.hostname.endsWith('.azure.com') ?? false
  return natives[isAzure ? 'azure' : (vendorOf(first) ?? 'openai')] ?? natives.openai
}

function placeOf(baseUrl: string): { origin: string; basePath: string } {
  const { origin, pathname } = new URL(baseUrl)
  return { origin, basePath: pathname.replace(/\/$/, '') }
}

const headersFor = ({ vendor }: Dialect, credential: string | null): string[] => [
  'accept',
  'application/json',
  ...(vendor.name === 'anthropic' ? ['anthropic-version', '2023-06-01'] : []),
  ...(credential === null ? [] : vendor.credential(credential)),
]

function countModels({ vendor }: Dialect, text: string): number | null {
  try {
    return vendor.models.read(JSON.parse(text)).length
  } catch {
    return null
  }
}

function problemWith(status: number, passthrough: boolean): string | null {
  if (status < 300) return null
  // No credential is stored, so none was shown: that it is asked for is all that can be learned.
  if (passthrough && (status === 401 || status === 403)) return null
  if (status < 400) return 'The provider answered with a redirect, which is not followed: base_url is not its address.'
  if (status === 401 || status === 403) return 'The provider refuses the credential.'
  if (status === 404) return 'The provider has no list of models here; if its calls fail too, base_url is wrong.'
  if (status === 429) return 'The provider has had enough requests with this credential for now.'
  return status < 500 ? 'The provider refuses the request.' : 'The provider is in trouble.'
}

const sentences: Readonly<Record<string, string>> = {
  OUT_OF_REACH: 'The address is on the internet, which EARTHFLOW_LOCALITY closes.',
  EGRESS_REFUSED: 'The address may not be called: EGRESS_ALLOW does not open it.',
  ENOTFOUND: 'The name of the host is not known.',
  EAI_AGAIN: 'The name of the host could not be looked up.',
  ECONNREFUSED: 'Nothing listens at this address.',
  ECONNRESET: 'The connection was cut.',
  UND_ERR_SOCKET: 'The connection was cut.',
  NOT_HTTP: 'What answers at this address does not speak HTTP.',
  UND_ERR_RES_EXCEEDED_MAX_SIZE: 'The answer was too long.',
  UND_ERR_CONNECT_TIMEOUT: 'No connection came about in time.',
  UND_ERR_HEADERS_TIMEOUT: 'No answer came in time.',
  UND_ERR_BODY_TIMEOUT: 'The answer did not end in time.',
}

function sentenceFor(error: unknown): string {
  if (error instanceof DOMException) return 'No answer came in time.'
  const code = codeOf(error)
  if (/CERT|SSL|TLS|SELF_SIGNED|UNABLE_TO_(?:GET|VERIFY)/.test(code)) return `The provider's certificate is not trusted, or it speaks no TLS here (${code}).`
  return sentences[code] ?? `The provider could not be reached (${code}).`
}
