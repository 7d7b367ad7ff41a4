/** The two cookies of the dashboard: the API's login, and what is said once on the next page. */
import { API_COOKIE } from './api.ts'

/** RFC 6265bis, section 4.1.3.2: a browser keeps such a cookie for this host alone, and takes it over TLS alone. */
const HOST_PREFIX = '__Host-'
const TOLD_COOKIE = `${HOST_PREFIX}earthflow-told`
const TOLD_SECONDS = 60
const TOLD_CHARACTERS_MAX = 300
const VALUE_CHARACTERS_MAX = 8_192

export interface Cookies {
  /** The token of the login; null where there is none. */
  login(headers: Headers): string | null
  /** What was done before this page; null: nothing is to be said. */
  told(headers: Headers): string | null
  /** The API's own cookie, as this connection's browser takes it. */
  passOn(setCookie: string): string
  tell(sentence: string): string
  forgetTold(): string
  forgetLogin(): string
}

/**
 * Over plain HTTP, which development speaks as well, cookies go by names without the prefix and without `Secure`: a browser would drop them there, and
 * nobody could log in.
 */
export function cookiesFor({ isEncrypted }: { isEncrypted: boolean }): Cookies {
  const nameOf = (name: string): string => (isEncrypted ? name : name.slice(HOST_PREFIX.length))
  const fixed = `Path=/; ${isEncrypted ? 'Secure; ' : ''}HttpOnly; SameSite=Strict`
  const set = (name: string, value: string, seconds: number): string => `${nameOf(name)}=${value}; ${fixed}; Max-Age=${seconds}`
  return {
    login: (headers) => cookieOf(headers, nameOf(API_COOKIE)),
    told(headers) {
      const value = cookieOf(headers, nameOf(TOLD_COOKIE))
      try {
        return value === null ? null : decodeURIComponent(value).slice(0, TOLD_CHARACTERS_MAX)
      } catch {
        return null // nobody of ours wrote it
      }
    },
    passOn: (setCookie) => (isEncrypted ? setCookie : setCookie.replace(`${API_COOKIE}=`, `${nameOf(API_COOKIE)}=`).replace('; Secure', '')),
    tell: (sentence) => set(TOLD_COOKIE, encodeURIComponent(sentence.slice(0, TOLD_CHARACTERS_MAX).toWellFormed()), TOLD_SECONDS),
    forgetTold: () => set(TOLD_COOKIE, '', 0),
    forgetLogin: () => set(API_COOKIE, '', 0),
  }
}

/** Null where it is not there, empty, there twice, or longer than any of ours. */
function cookieOf(headers: Headers, name: string): string | null {
  const pairs = (headers.get('cookie') ?? '').split(';').map((pair) => pair.trim())
  const [value, ...others] = pairs.filter((pair) => pair.startsWith(`${name}=`)).map((pair) => pair.slice(name.length + 1))
  return value === undefined || value === '' || others.length > 0 || value.length > VALUE_CHARACTERS_MAX ? null : value
}
