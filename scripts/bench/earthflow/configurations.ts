/** Earthflow as it is measured: governance off, then one thing after the other on. */
import { cut, everyDetector, literals, mixed, patterns, type RuleDraft } from './rules.ts'
import type { ShortStage } from './short-pipeline.ts'

export interface Setup {
  /** The stages of a short pipeline; null: the program as it is. */
  stages: readonly ShortStage[] | null
  presets: readonly string[]
  rules: readonly RuleDraft[]
  /** Settings beside those of every configuration. */
  env: Readonly<Record<string, string>>
  database: 'postgres' | 'embedded'
  hasRedis: boolean
  /** A webhook that is told of every call. */
  hasWebhook: boolean
  isTls: boolean
  isUnpinned: boolean
}

export interface Configuration {
  name: string
  about: string
  setup: Setup
}

/** The limits of rates, keys and detectors stand as a tenant would have them; nothing is looked for yet. */
const base: Setup = {
  stages: null,
  presets: [],
  rules: [],
  env: {},
  database: 'postgres',
  hasRedis: false,
  hasWebhook: false,
  isTls: false,
  isUnpinned: false,
}

const PRESETS = ['medical', 'secrets'] // the default preset comes with the tenant, as with every new one
/** As many rules as an organisation may have of its own. */
const LITERALS = 20
const PATTERNS = 15
const governance = { presets: ['default', ...PRESETS], rules: [...everyDetector(), ...literals(LITERALS), ...patterns(PATTERNS)] }

/** A thin proxy writes no line a call. */
const quiet = { EARTHFLOW_LOG_LEVEL: 'WARN' }
const short = (stages: readonly ShortStage[], more: Partial<Setup> = {}): Setup => ({ ...base, stages, env: quiet, ...more })
const judged = ['key', 'admit', 'judge'] as const
const on = (more: Partial<Setup> = {}): Setup => ({ ...base, ...governance, ...more })
const REPLY_RULES = 10

/** Workers share limits by Redis, so that one has it here too. */
const twoWorkers = { isUnpinned: true, hasRedis: true, env: { EARTHFLOW_WORKERS: '2' } }

export const OFF = 'earthflow-off'
export const ON = 'earthflow-on'

export const configurations: readonly Configuration[] = [
  { name: OFF, about: 'governance off: the body read and decoded, routed, forwarded; nobody asked, nothing judged or recorded', setup: short([]) },
  { name: 'earthflow-key', about: 'and the key looked up', setup: short(['key']) },
  { name: 'earthflow-admit', about: 'and limits, budgets and models asked and settled', setup: short(['key', 'admit']) },
  { name: 'earthflow-rules-10', about: 'and 10 rules', setup: short(judged, { rules: mixed(10) }) },
  { name: 'earthflow-rules-100', about: '100 rules instead', setup: short(judged, { rules: mixed(100) }) },
  { name: 'earthflow-rules-1000', about: '1,000 rules instead', setup: short(judged, { rules: mixed(1_000) }) },
  { name: 'earthflow-detectors', about: 'presets, every detector, 20 literals, 15 patterns, and all views instead', setup: short(judged, governance) },
  { name: 'earthflow-hash', about: 'and the hashes of the prompt and of what leaves', setup: short([...judged, 'hash'], governance) },
  {
    name: ON,
    about: 'governance on: the program as it is, with audit sync to PostgreSQL and a log line a call',
    setup: on(),
  },
  { name: 'earthflow-strict', about: 'on, with audit strict', setup: on({ env: { AUDIT_DURABILITY: 'strict' } }) },
  { name: 'earthflow-redis', about: 'on, with limits in Redis', setup: on({ hasRedis: true }) },
  {
    name: 'earthflow-replies',
    about: `on, with ${REPLY_RULES} rules that read replies`,
    setup: on({ rules: [...governance.rules, ...literals(REPLY_RULES, 'response')] }),
  },
  { name: 'earthflow-redaction', about: 'on, and a term of every call is cut reversibly', setup: on({ rules: [...governance.rules, ...cut] }) },
  { name: 'earthflow-events', about: 'on, with a webhook that is told of every call', setup: on({ hasWebhook: true }) },
  { name: 'earthflow-off-tls', about: 'governance off, over TLS', setup: short([], { isTls: true }) },
  { name: 'earthflow-on-tls', about: 'governance on, over TLS', setup: on({ isTls: true }) },
  { name: 'earthflow-off-1', about: 'governance off, one worker on any core', setup: short([], { isUnpinned: true, hasRedis: true }) },
  { name: 'earthflow-off-2', about: 'governance off, two workers on any core', setup: short([], { ...twoWorkers, env: { ...quiet, ...twoWorkers.env } }) },
  { name: 'earthflow-on-1', about: 'on with Redis, one worker on any core', setup: on({ isUnpinned: true, hasRedis: true }) },
  { name: 'earthflow-on-2', about: 'on with Redis, two workers on any core', setup: on(twoWorkers) },
  { name: 'earthflow-embedded', about: 'on, with the embedded database', setup: on({ database: 'embedded' }) },
]

/** Throws where there is none of that name. */
export function setupNamed(name: string): Setup {
  const one = configurations.find((each) => each.name === name)
  if (!one) throw new Error(`There is no configuration ${name}.`)
  return one.setup
}
