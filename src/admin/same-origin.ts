/** What a browser sends by itself must not change anything: a cookie, or a certificate, counts only where our own pages, or pages that are allowed, ask. */
import { Refusal } from '../errors.ts'

/** How a request was let in: by what somebody wrote into it, or by what a browser adds whoever makes it ask. */
export type Ambient = 'none' | 'cookie' | 'certificate'

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])
const JSON_TYPE = /^application\/json\s*(?:;|$)/i

/**
 * Throws a Refusal for a request that a browser was led into. With a cookie the browser must say where the request comes from, and its body must be JSON;
 * without one whoever says nothing is a program.
 */
export function refuseForeignOrigin(request: Request, { ambient, allowed }: { ambient: Ambient; allowed: readonly string[] }): void {
  if (SAFE.has(request.method)) return
  const { headers } = request
  const origin = headers.get('origin')
  // Browsers say it themselves, and no page can (Fetch Metadata, W3C).
  const site = headers.get('sec-fetch-site')
  const isAllowed = origin !== null && allowed.includes(origin)
  const isOwn = origin !== null && isSameHost(origin, headers.get('host') ?? new URL(request.url).host) && (site ?? 'same-origin') === 'same-origin'
  const isSaid = origin === null && site === 'same-origin'
  const isProgram = origin === null && (site === null || site === 'none')
  if (!(isAllowed || isOwn || isSaid || (isProgram && ambient !== 'cookie'))) {
    throw new Refusal('forbidden', 'This request comes from another origin. ALLOWED_ORIGINS names those whose pages may do this.')
  }
  if (ambient === 'cookie' && hasBody(headers) && !JSON_TYPE.test(headers.get('content-type') ?? '')) {
    throw new Refusal('unsupported_media_type', 'With a login cookie a body must be application/json.')
  }
}

const hasBody = (headers: Headers): boolean => headers.has('transfer-encoding') || Number(headers.get('content-length') ?? 0) > 0 || headers.has('content-type')

const isSameHost = (origin: string, host: string): boolean => URL.canParse(origin) && new URL(origin).host === host.toLowerCase()
