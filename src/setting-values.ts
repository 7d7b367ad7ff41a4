/** What settings may say, and what that means. Each turns text into a value, or throws half a sentence that says what to write instead. */
import { isIPv6 } from 'node:net'
import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { isNetwork } from './access/networks.ts'
import { isRole, roleNames } from './access/roles.ts'
import { isHostName, plainHost } from './egress/host.ts'

export const text = (value: string): string => value
export const oneOf =
  <const Word extends string>(...words: readonly Word[]) =>
  (value: string): Word => {
    const found = words.find((word) => word.toLowerCase() === value.toLowerCase())
    if (found === undefined) throw new Error(`must be one of ${words.join(', ')}`)
    return found
  }
export const flag = (value: string): boolean => oneOf('true', 'false')(value) === 'true'
export const number =
  (least: number, most: number, { whole = false } = {}) =>
  (value: string): number => {
    const parsed = /^\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN
    if (!(parsed >= least && parsed <= most) || (whole && !Number.isInteger(parsed)))
      throw new Error(`must be a ${whole ? 'whole ' : ''}number from ${least} to ${most}`)
    return parsed
  }
export const port = number(0, 65_535, { whole: true })
export const addresses = (value: string): string[] => {
  const found = list(value)
  if (!found.every(isNetwork)) throw new Error('must be addresses or networks such as 10.0.0.0/8, separated by commas')
  return found
}
const list = (value: string): string[] =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
export const url =
  (...schemes: string[]) =>
  (value: string): string => {
    if (!URL.canParse(value) || !schemes.includes(new URL(value).protocol))
      throw new Error(`must be a URL that begins with ${schemes.map((scheme) => `${scheme}//`).join(' or ')}`)
    return value
  }
/** Where something is reached; what is asked there follows. Without the slash at its end. */
export const baseUrl = (value: string): string => {
  const { username, password, search, hash } = new URL(url('https:', 'http:')(value))
  if (username !== '' || password !== '' || search !== '' || hash !== '') throw new Error('must be a URL without a user name, a query and a fragment')
  return value.replace(/\/+$/, '')
}
export const sink = (value: string): { kind: 'directory'; path: string } | { kind: 'url'; url: string } => {
  if (/^\s*https?:/i.test(value)) {
    const { username, password } = new URL(url('https:', 'http:')(value))
    if (username !== '' || password !== '') throw new Error('must not hold a user name or a password, which are not sent: put a token into its query')
    return { kind: 'url', url: value }
  }
  if (!isAbsolute(value)) throw new Error('must be an absolute path of a directory or a URL that begins with https://')
  return { kind: 'directory', path: value }
}
/** The base URL of an OpenTelemetry collector, made the one that traces are posted to. */
export const collector = (value: string): string => {
  const { username, password, search, hash, href } = new URL(url('https:', 'http:')(value))
  if (username !== '' || password !== '' || search !== '' || hash !== '')
    throw new Error('must hold no user name, password, query or fragment: what the collector asks for goes into OTEL_EXPORTER_OTLP_HEADERS')
  return `${href.replace(/\/+$/, '')}/v1/traces`
}

/** As OpenTelemetry writes headers (W3C Baggage, without properties): name, value, name, value. */
export const collectorHeaders = (value: string): string[] =>
  list(value).flatMap((item) => {
    const [, name, encoded] = /^([\w!#$%&'*+.^`|~-]+)\s*=\s*(.+)$/.exec(item) ?? []
    if (name === undefined || encoded === undefined) throw new Error('must be headers such as x-api-key=secret, separated by commas')
    return [name.toLowerCase(), headerValue(encoded)]
  })

function headerValue(encoded: string): string {
  let plain: string
  try {
    plain = decodeURIComponent(encoded)
  } catch {
    throw new Error('must be percent-encoded where it holds a percent sign or a comma')
  }
  if (!/^[\t\x20-\x7e]+$/.test(plain)) throw new Error('must hold nothing but what a header may: letters, digits and signs')
  return plain
}

export const adminKey = (value: string): string => {
  if (value.length < 32 || new Set(value).size < 12) throw new Error('must be at least 32 random characters')
  if (value.length > 512 || !/^[\x21-\x7e]+$/.test(value)) throw new Error('must be at most 512 letters, digits and signs, without blanks')
  if (/^ef_(live|test)_/.test(value)) throw new Error('must not look like a tenant key')
  return value
}

/** A server as it stands in a URL: a name, or an address, IPv6 with or without brackets. */
export const server = (value: string): string => {
  const host = isIPv6(value) ? `[${value}]` : value
  const at = URL.parse(`any://${host}:1/`)
  if (at === null || at.hostname === '' || at.port !== '1' || at.username !== '' || at.password !== '')
    throw new Error('must be a host name or an address, without a port; the folder of a socket is not supported')
  return host
}

/** Names by which a server may be asked for, without ports. */
export const hosts = (value: string): string[] =>
  list(value).map((item) => {
    const host = plainHost(item)
    if (!isHostName(host) && !isNetwork(host)) throw new Error('must be host names or addresses without ports, separated by commas')
    return host
  })

/** Origins of pages, as browsers write them. */
export const origins = (value: string): string[] =>
  list(value).map((item) => {
    if (!/^https?:\/\//.test(item) || !URL.canParse(item) || new URL(item).origin !== item) {
      throw new Error('must be origins such as https://admin.example.com, separated by commas, without a path and without *')
    }
    return item
  })

/** Where calls may go. */
export type Locality = { kind: 'any' } | { kind: 'local-only' } | { kind: 'regions'; regions: readonly string[] }

export const locality = (value: string): Locality => {
  const words = list(value)
  if (words.length === 1 && (words[0] === 'any' || words[0] === 'local-only')) return { kind: words[0] }
  const isRegion = (word: string): boolean => /^[a-z0-9][a-z0-9-]{0,62}$/.test(word) && word !== 'any' && word !== 'local-only'
  if (words.length === 0 || !words.every(isRegion)) throw new Error('must be any, local-only, or regions such as eu-central, separated by commas')
  return { kind: 'regions', regions: words }
}

const ISSUERS_MAX = 10
const CLAIM_VALUES_MAX = 200
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const
const claim = z.string().min(1).max(200)
const issuer = z
  .strictObject({
    issuer: z.url({ protocol: /^https?$/ }),
    audience: z.string().min(1).max(500),
    algorithms: z.array(z.enum(algorithms)).min(1).default(['RS256']),
    jwks_uri: z.url({ protocol: /^https?$/ }).optional(),
    role_claim: claim.default('roles'),
    roles: z.record(z.string(), z.custom<(typeof roleNames)[number]>(isRole, `must be one of ${roleNames.join(', ')}`)),
    tenant_claim: claim.optional(),
    tenants: z.record(z.string(), z.string()).optional(),
    tenant: z.string().min(1).max(200).optional(),
  })
  .refine(({ roles }) => Object.keys(roles).length > 0 && Object.keys(roles).length <= CLAIM_VALUES_MAX, 'roles must name at least one value of the claim')
  .refine(({ tenants }) => Object.keys(tenants ?? {}).length <= CLAIM_VALUES_MAX, `tenants must name at most ${CLAIM_VALUES_MAX} values of the claim`)
  .refine(({ tenant, tenant_claim }) => (tenant === undefined) !== (tenant_claim === undefined), 'either tenant or tenant_claim must be there')
  .refine(({ tenants, tenant_claim }) => tenants === undefined || tenant_claim !== undefined, 'tenants needs tenant_claim')

/**
 * An identity provider. `roles` maps values of the claim to roles. `tenant` says whose everybody of it is, `*` being the whole installation; or
 * `tenant_claim` names the claim that says it, by `tenants` where that is there, else by the tenant's id.
 */
export type OidcIssuer = z.output<typeof issuer>

export const oidcIssuers = (value: string): OidcIssuer[] => {
  let json: unknown
  try {
    json = JSON.parse(value)
  } catch {
    throw new Error('must be a JSON list of identity providers')
  }
  const read = z.array(issuer).max(ISSUERS_MAX).safeParse(json)
  if (!read.success) {
    const [{ path, message }] = read.error.issues
    throw new Error(`is not understood at ${path.join('.') || 'its beginning'}: ${message}`)
  }
  if (new Set(read.data.map((one) => one.issuer)).size < read.data.length) throw new Error('names an issuer twice')
  return read.data
}
