/** Keys, tokens and passwords that let whoever reads them in, by the shapes their issuers document. Documented example keys count. */
import { pairAt, textOf } from './characters.ts'
import type { Found } from './found.ts'

interface SecretShape {
  kind: string
  /** How it begins: two characters or more, any of them. */
  begins: readonly Buffer[]
  shape: RegExp
}

const of = (kind: string, begins: string, shape: RegExp): SecretShape => ({
  kind,
  begins: begins.split(' ').map((begin) => Buffer.from(begin)),
  shape,
})

/** What may not follow a key of fixed length: it would be part of something longer. */
const shapes: readonly SecretShape[] = [
  of('cloud_key', 'AKIA ASIA ABIA ACCA', /^A(?:KIA|SIA|BIA|CCA)[0-9A-Z]{16}(?![0-9A-Za-z])/),
  of(
    'cloud_key',
    'aws_secret AWS_SECRET aws_session AWS_SESSION awsSecret aws-secret secretAccessKey SecretAccessKey',
    /^\w[\w-]{8,24}(?:["'\s]{0,3}(?:[:=]>?|>)["'\s]{0,3}|\s{1,2}["']?)(?:[0-9A-Za-z/+]{40}(?![\w/+=])|[0-9A-Za-z/+=]{100,})/,
  ),
  of('cloud_key', 'AIza', /^AIza[\w-]{35}(?![0-9A-Za-z])/),
  of('cloud_key', 'GOCSPX-', /^GOCSPX-[\w-]{28}(?![0-9A-Za-z])/),
  of('cloud_key', 'ya29.', /^ya29\.[\w.-]{30,}/),
  of('cloud_key', 'AccountKey=', /^AccountKey=[0-9A-Za-z+/]{86}==/),
  of('cloud_key', 'SharedAccessKey=', /^SharedAccessKey=[0-9A-Za-z+/]{43}=/),
  of('cloud_key', 'dop_v1_ doo_v1_ dor_v1_', /^do[opr]_v1_[0-9a-f]{64}(?![0-9A-Za-z])/),
  of('cloud_key', 'LTAI', /^LTAI[0-9A-Za-z]{12,20}(?![0-9A-Za-z])/),
  of('cloud_key', 'AKID', /^AKID[0-9A-Za-z]{32}(?![0-9A-Za-z])/),
  of('cloud_key', 'dapi', /^dapi[0-9a-f]{32}(?:-\d)?(?![0-9A-Za-z])/),
  of('cloud_key', 'hvs. hvb. hvr.', /^hv[sbr]\.[\w-]{24,}/),
  of('cloud_key', 'pul-', /^pul-[0-9a-f]{40}(?![0-9A-Za-z])/),
  of('cloud_key', 'sbp_ sb_secret_', /^(?:sbp_[0-9a-f]{40}(?![0-9A-Za-z])|sb_secret_[\w-]{30,})/),
  of('cloud_key', 'pscale_', /^pscale_(?:tkn|pw|oauth)_[\w.=-]{32,}/),
  of('cloud_key', 'nfp_', /^nfp_[0-9A-Za-z]{36,}/),
  of('cloud_key', 'FlyV1 fo1_', /^(?:FlyV1 fm\d[a-z]?_[\w+/=,-]{40,}|fo1_[\w-]{40,})/),
  of('cloud_key', 'ABSK HRKU-', /^(?:ABSK[0-9A-Za-z+/]{100,}={0,2}|HRKU-[\w-]{36,})/),
  of('cloud_key', 'dp.pt. dp.st. dp.ct.', /^dp\.(?:pt|st|ct)\.[\w.-]{40,}/),

  of('vcs_token', 'ghp_ gho_ ghu_ ghs_ ghr_', /^gh[pousr]_[0-9A-Za-z]{36}(?![0-9A-Za-z])/),
  of('vcs_token', 'github_pat_', /^github_pat_[0-9A-Za-z]{22}_[0-9A-Za-z]{59}(?![0-9A-Za-z])/),
  of(
    'vcs_token',
    'glpat- gldt- glrt- glptt- glcbt- glsoat- gloas- glagent- glimt- glft- glffct-',
    /^gl(?:pat|dt|rt|ptt|cbt|soat|oas|agent|imt|ft|ffct)-[\w-]{20,}(?:\.[0-9a-z]{2}\.[0-9a-z]{9})?/,
  ),
  of('vcs_token', 'ATBB ATATT3 ATCTT3', /^(?:ATBB[0-9A-Za-z]{32}|AT[AC]TT3[\w=-]{60,})(?![0-9A-Za-z])/),
  of('vcs_token', 'npm_', /^npm_[0-9A-Za-z]{36}(?![0-9A-Za-z])/),
  of('vcs_token', 'pypi-AgE', /^pypi-AgE[\w-]{50,}/),
  of('vcs_token', 'rubygems_', /^rubygems_[0-9a-f]{48}(?![0-9A-Za-z])/),
  of('vcs_token', 'dckr_pat_ dckr_oat_', /^dckr_[po]at_[\w-]{27,}/),

  of(
    'llm_key',
    'sk-',
    /^sk-(?:(?:proj|svcacct|admin|None)-[\w-]{40,}|or-v1-[0-9a-f]{64}|[0-9A-Za-z]{48}(?![0-9A-Za-z])|[0-9A-Za-z]{20}T3BlbkFJ[0-9A-Za-z]{20}(?![0-9A-Za-z])|[0-9a-f]{32}(?![0-9A-Za-z])|ant-[a-z]+\d{2}-[\w-]{40,})/,
  ),
  of('llm_key', 'hf_ api_org_', /^(?:hf|api_org)_[A-Za-z]{34}(?![0-9A-Za-z])/),
  of('llm_key', 'tvly- pcsk_ csk- sk-lf-', /^(?:tvly-[\w-]{30,}|pcsk_[0-9A-Za-z_]{60,}|csk-[0-9a-z]{48}|sk-lf-[0-9a-f-]{36})(?![0-9A-Za-z])/),
  of('llm_key', 'gsk_', /^gsk_[0-9A-Za-z]{52}(?![0-9A-Za-z])/),
  of('llm_key', 'xai-', /^xai-[0-9A-Za-z]{80}(?![0-9A-Za-z])/),
  of('llm_key', 'pplx-', /^pplx-[0-9A-Za-z]{48}(?![0-9A-Za-z])/),
  of('llm_key', 'r8_', /^r8_[0-9A-Za-z]{37}(?![0-9A-Za-z])/),
  of('llm_key', 'nvapi-', /^nvapi-[\w-]{64}(?![0-9A-Za-z])/),
  of('llm_key', 'tgp_v1_', /^tgp_v1_[\w-]{43}(?![0-9A-Za-z])/),
  of('llm_key', 'lsv2_', /^lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}(?![0-9A-Za-z])/),

  of('service_key', 'xoxa xoxb xoxc xoxd xoxe xoxp xoxr xoxs xapp-', /^(?:xox[a-eprs](?:\.xox[bp])?-[0-9A-Za-z-]{20,}|xapp-\d-[0-9A-Za-z-]{20,})/),
  of('service_key', 'hooks.slack.com/', /^hooks\.slack\.com\/(?:services|workflows|triggers)\/T\w{8,}\/\w{8,}\/\w{20,}/),
  of('service_key', 'discord.com/api/webhooks discordapp.com/api/webhooks', /^discord(?:app)?\.com\/api\/webhooks\/\d{17,20}\/[\w-]{60,}/),
  of('service_key', 'SG.', /^SG\.[\w-]{22}\.[\w-]{43}/),
  of('service_key', 'SK', /^SK[0-9a-f]{32}(?![0-9A-Za-z])/),
  of('service_key', 'key-', /^key-[0-9a-f]{32}(?![0-9A-Za-z])/),
  of('service_key', 'sk_live_ sk_test_ rk_live_ rk_test_', /^[rs]k_(?:live|test)_[0-9A-Za-z]{16,}/),
  of('service_key', 'whsec_', /^whsec_[0-9A-Za-z+/]{32,}={0,2}/),
  of('service_key', 'sq0atp- sq0csp-', /^sq0(?:atp|csp)-[\w-]{22,}/),
  of('service_key', 'EAAA', /^EAAA[\w-]{60}(?![0-9A-Za-z])/),
  of('service_key', 'access_token$production$', /^access_token\$production\$[0-9a-z]{16}\$[0-9a-f]{32}/),
  of('service_key', 'shpat_ shpca_ shppa_ shpss_', /^shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}(?![0-9A-Za-z])/),
  of('service_key', 'NRAK-', /^NRAK-[0-9A-Z]{27}(?![0-9A-Za-z])/),
  of('service_key', 'glsa_ glc_eyJ', /^(?:glsa_[0-9A-Za-z]{32}_[0-9A-Fa-f]{8}(?![0-9A-Za-z])|glc_eyJ[\w+/=-]{60,})/),
  of('service_key', 'xkeysib- pat-na1- pat-eu1-', /^(?:xkeysib-[0-9a-f]{64}-\w{16}|pat-(?:na1|eu1)-[0-9a-f-]{36})(?![0-9A-Za-z])/),
  of('service_key', 'sntrys_ sntryu_', /^sntry(?:s_eyJ[\w+/=-]{60,}|u_[0-9a-f]{64})/),
  of('service_key', 'lin_api_', /^lin_api_[0-9A-Za-z]{40}(?![0-9A-Za-z])/),
  of('service_key', 'ntn_ secret_', /^(?:ntn_[0-9A-Za-z]{43,}|secret_[0-9A-Za-z]{43}(?![0-9A-Za-z]))/),
  of('service_key', 'figd_', /^figd_[\w-]{40,}/),
  of('service_key', 'pat', /^pat[0-9A-Za-z]{14}\.[0-9a-f]{64}(?![0-9A-Za-z])/),
  of('service_key', 'PMAK-', /^PMAK-[0-9a-f]{24}-[0-9a-f]{34}(?![0-9A-Za-z])/),
  of('service_key', 'dt0c01. dt0s01.', /^dt0[cs]01\.[0-9A-Z]{24}\.[0-9A-Z]{64}(?![0-9A-Za-z])/),
  of('service_key', 'ops_eyJ', /^ops_eyJ[\w-]{200,}/),
  of('service_key', 'AGE-SECRET-KEY-1', /^AGE-SECRET-KEY-1[0-9A-Z]{58}(?![0-9A-Za-z])/),

  of('jwt', 'eyJ eyA ewo ewk ew0', /^e(?:yJ|yA|w[ok0])[\w-]{10,}\.e(?:yJ|yA|w[ok0])[\w-]{10,}(?:\.[\w-]+)?/),
  of('earthflow_key', 'ef_live_ ef_test_ ef_session_ ef_login_', /^ef_(?:live|test|session|login)_[\w.-]{16,}/),
]

/** Much longer than any key but those that have no end; what comes after it in one word belongs to it all the same. */
const SHAPE_BYTES_MAX = 512
const REST = /^[\w.+/=-]+/
const REST_BYTES_MAX = 16_384

/** By the first two characters, as 14 bits: the shapes that may begin so. */
export type SecretIndex = ReadonlyMap<number, readonly SecretShape[]>

export function indexSecrets(wanted: (kind: string) => boolean): SecretIndex {
  const index = new Map<number, SecretShape[]>()
  for (const secret of shapes.filter(({ kind }) => wanted(kind)))
    for (const pair of new Set(secret.begins.map((begin) => pairAt(begin[0], begin[1])))) index.set(pair, [...(index.get(pair) ?? []), secret])
  return index
}

/** A pattern for where a key may begin, so far as a word tells: not for every "path" or "key-value". */
export function keyBeginnings(): string {
  const begins = shapes.flatMap((secret) => secret.begins.map((begin) => begin.toString())).filter((begin) => begin.length > 2)
  const escaped = begins.map((begin) => begin.replaceAll(/[.$]/g, '\\$&'))
  return `(?:${[...new Set(escaped)].join('|')})(?=[\\w./+-]*(?:[A-Z\\d]|[^\\w./+-]{1,24}[\\w-]*[A-Z\\d]))`
}

/** Looks for a key at `start`, where a word begins whose first two characters some shapes have. Answers where it ends, or `start`. */
export function findSecret(candidates: readonly SecretShape[], text: Buffer, start: number, to: number, found: Found): number {
  let word = ''
  for (const { kind, begins, shape } of candidates) {
    if (!beginsWithOne(text, start, begins)) continue
    if (word === '') word = textOf(text, start, Math.min(to, start + SHAPE_BYTES_MAX))
    const length = shape.exec(word)?.[0].length ?? 0
    if (length > 0) {
      const end =
        length < SHAPE_BYTES_MAX
          ? start + length
          : start + length + (REST.exec(textOf(text, start + length, Math.min(to, start + REST_BYTES_MAX)))?.[0].length ?? 0)
      found(start, end, kind)
      return end
    }
    const end = brokenAt(shape, text, start, to)
    if (end > start) {
      found(start, end, kind)
      return end
    }
  }
  return start
}

/** Most words that share two characters with a key do not share the third. */
function beginsWithOne(text: Buffer, start: number, begins: readonly Buffer[]): boolean {
  for (const begin of begins) {
    let i = 2
    while (i < begin.length && text[start + i] === begin[i]) i++
    if (i === begin.length) return true
  }
  return false
}

/** Pieces into which a key may be broken. */
const BREAKS_MAX = 8
const BROKEN_BYTES_MAX = 1024
/** What may stand between two: the end of a line, spaces, quotes and the plus of programs, marks of Markdown and comments; in keys without dashes those too. */
const breaks = [
  { piece: /^[\w-]+/, gap: /^[\s"'`+\\*|>.,~#/{}\x00-\x1f]{1,24}/ },
  { piece: /^[0-9A-Za-z]+/, gap: /^[\s"'`+\\*|>.,~#/{}\x00-\x1f_-]{1,24}/ },
  { piece: /^[\w.-]+/, gap: /^[\s"'`+\\|>#\x00-\x1f]{1,24}/ },
]
const LINE_OR_QUOTE = /[\n"'`]/
const OPEN_ENDED = /\{\d+,\}|\+\)/
const SENTENCE = /^[a-z]{3,11}$/
/** The rest of a key without a fixed length. */
const REST_PIECE_BYTES_MIN = 8

/**
 * Where a key ends that is broken into pieces; `start` where there is none. A key has digits and is no sentence: a piece that is an ordinary word in
 * lower case ends it.
 */
function brokenAt(shape: RegExp, text: Buffer, start: number, to: number): number {
  const source = textOf(text, start, Math.min(to, start + BROKEN_BYTES_MAX))
  const isOpen = OPEN_ENDED.test(shape.source)
  for (const { piece, gap } of breaks) {
    let whole = ''
    let end = 0 // of the key so far
    for (let at = 0, count = 0; at < source.length && count <= BREAKS_MAX; count++) {
      const part = piece.exec(source.slice(at))?.[0] ?? ''
      if (part === '' || (count > 0 && SENTENCE.test(part))) break
      if (end > 0 && (part.length < REST_PIECE_BYTES_MIN || !/[\dA-Z]/.test(part))) break
      whole += part
      at += part.length
      if (count > 0 && /\d/.test(whole) && shape.exec(whole)?.[0].length === whole.length) end = at
      if (end > 0 && !isOpen) break
      const between = gap.exec(source.slice(at))?.[0] ?? ''
      // What has no fixed length would go on into the next word.
      if (between === '' || (isOpen && !LINE_OR_QUOTE.test(between))) break
      at += between.length
    }
    if (end > 0) return start + end
  }
  return start
}

/** A password stands between the second colon and the @. */
const CONNECTION =
  /(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|valkeys?|amqps?|mssql|sqlserver|oracle|clickhouse|cassandra|snowflake|kafka|mqtts?|nats|ldaps?|smtps?|s?ftps?|ssh|git|https?)(?:\+[a-z\d]+)?:\/\/[\w.%+-]*:([^\s"'<>`\\@/]{1,128})@[\w.-]+/i
/** Words such as "password" are none, and what stands for one: $NAME, {{name}}, <name>, ***. */
const PASSWORD = /[\d!#$^&]/
const STANDS_FOR_ONE = /^(?:\$\w+|\$?[{(].*[})]|%\w+%|\*+|\.+|#\w+#|\[.*\])$/
const SCHEME_BYTES_MAX = 24
const CONNECTION_BYTES_MAX = 320

/** Addresses of databases, brokers and servers that carry a password. The colon of `://` stands at `colon`. */
export function findConnection(text: Buffer, colon: number, to: number, found: Found): void {
  let begin = colon
  while (begin > 0 && colon - begin < SCHEME_BYTES_MAX && /[a-z\d+]/i.test(String.fromCharCode(text[begin - 1]))) begin--
  while (text[begin] === 0x2b) begin++
  const match = CONNECTION.exec(textOf(text, begin, Math.min(to, colon + CONNECTION_BYTES_MAX)))
  if (match?.index !== 0 || !PASSWORD.test(match[1]) || STANDS_FOR_ONE.test(match[1])) return
  found(begin, begin + match[0].length, 'connection_string')
}
