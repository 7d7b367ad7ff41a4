/** How Earthflow runs, and what it keeps. */
import { readFileSync, statSync } from 'node:fs'
import { type Check, type Context, type Finding, fail, warn } from '../check.ts'
import { liesOutside } from '../lies-outside.ts'

const RETENTION_DAYS_MIN = 30
const FREE_BYTES_MIN = 2 * 2 ** 30
const DEFAULT_RPM_MAX = 10_000
/** They write down what calls and answers say, or open the program to others. */
const TELLING_NAMES = /(?:^|,)(?:\*|http2?|https|tls|net|stream|undici|fetch|websocket)(?=,|$)/i
const TELLING_OPTIONS = /--(?:tls-keylog|trace-tls|inspect[\w-]*|insecure-http-parser|heapsnapshot-signal|tls-min-v1\.[01])(?=[=\s]|$)/g
const LOADING_OPTIONS = /(?:^|\s)(?:--require|-r|--import|--loader|--experimental-loader)(?=[=\s]|$)/

export const runningChecks: readonly Check[] = [
  {
    name: 'environment',
    about: 'Earthflow runs as production',
    run: ({ config: { env } }) => {
      if (env === 'development') return [fail('EARTHFLOW_ENV=development makes secrets by itself, reaches this machine, and has a sandbox: set production.')]
      return env === 'staging' ? [warn('EARTHFLOW_ENV=staging: set production where real calls are made.')] : []
    },
  },
  {
    name: 'settings',
    about: 'every variable that looks like a setting is one',
    run: ({ config: { unknown } }) =>
      unknown.length > 0 ? [warn(`${unknown.join(', ')}: no settings of Earthflow, so whatever they were meant to do is not done.`)] : [],
  },
  {
    name: 'log-level',
    about: 'the log is not at its most talkative',
    run: ({ config: { env, logLevel } }) =>
      logLevel === 'DEBUG' && env !== 'development' ? [warn('EARTHFLOW_LOG_LEVEL=DEBUG: set INFO when you are done looking.')] : [],
  },
  {
    name: 'node',
    about: 'Node.js is new enough, and runs without options that tell or open too much',
    run: ({ given, nodeVersion }) => {
      const options = given.NODE_OPTIONS ?? ''
      const telling = [...new Set(options.match(TELLING_OPTIONS))]
      return [
        ...(isOlder(nodeVersion, NODE_MIN) ? [fail(`Node.js ${nodeVersion} is older than ${NODE_MIN}: update it.`)] : []),
        ...(telling.length > 0 ? [fail(`NODE_OPTIONS holds ${telling.join(' and ')}: leave it out.`)] : []),
        ...(LOADING_OPTIONS.test(options)
          ? [warn('NODE_OPTIONS loads code into Earthflow, which sees every key and every call: make sure that you trust it.')]
          : []),
        ...(TELLING_NAMES.test(given.NODE_DEBUG ?? '') ? [fail('NODE_DEBUG writes what calls say to the log: leave it out.')] : []),
      ]
    },
  },
  {
    name: 'hashes',
    about: 'prompts are hashed so that nobody guesses them',
    run: ({ config: { hashPrompts, hashMode } }) => {
      if (!hashPrompts) return [warn('AUDIT_HASH_PROMPTS=false: nobody can show later what was asked. Leave it at true, with AUDIT_HASH_MODE=hmac-sha256.')]
      return hashMode === 'sha256' ? [warn('AUDIT_HASH_MODE=sha256: who reads the log can try short prompts until one fits. Set hmac-sha256.')] : []
    },
  },
  {
    name: 'retention',
    about: 'the audit log is kept for a time that somebody decided on',
    run: ({ config: { audit } }) => {
      if (audit.retentionDays === 0) return [warn('AUDIT_RETENTION_DAYS=0 keeps entries for ever: say for how long they are needed.')]
      return audit.retentionDays < RETENTION_DAYS_MIN
        ? [warn(`AUDIT_RETENTION_DAYS is below ${RETENTION_DAYS_MIN}: what is found out later cannot be looked up.`)]
        : []
    },
  },
  {
    name: 'alerts',
    about: 'somebody else learns what the audit log says, and can tell when it is changed',
    run: (context) => alertsOf(context),
  },
  {
    name: 'disk',
    about: 'the spool of the audit log lies on a disk with room',
    run: ({ config: { audit }, volumeOf }) => {
      const volume = volumeOf(audit.spoolDir)
      if (!volume) return []
      return [
        ...(volume.kind === 'memory' ? [fail('AUDIT_SPOOL_DIR lies in memory: what is acknowledged there is gone after a restart. Move it to a disk.')] : []),
        ...(volume.kind === 'container' ? [warn('AUDIT_SPOOL_DIR lies in the container itself, and goes with it: mount a volume there.')] : []),
        ...(volume.freeBytes < FREE_BYTES_MIN ? [warn('Less than 2 GiB are free where AUDIT_SPOOL_DIR lies: calls are refused when it is full.')] : []),
      ]
    },
  },
  {
    name: 'default-limit',
    about: 'a tenant without a limit of its own has one all the same',
    run: ({ config: { limits, enforceBudgets } }) => [
      ...(limits.defaultRpm > DEFAULT_RPM_MAX
        ? [warn(`RATE_LIMIT_DEFAULT_RPM is above ${DEFAULT_RPM_MAX}, which stops nobody who runs wild: lower it, and give who needs it a limit of their own.`)]
        : []),
      ...(enforceBudgets ? [] : [warn('BUDGET_ENFORCE=false: hard budgets refuse nothing. Set true.')]),
    ],
  },
]

async function alertsOf(context: Context): Promise<Finding[]> {
  const { audit, locality } = context.config
  const { checkpointSink } = audit
  if (checkpointSink === null)
    return [
      warn('AUDIT_CHECKPOINT_SINK is not set: whoever has the database could change the log and its checkpoints alike. Name a place that they do not have.'),
    ]
  if (checkpointSink.kind === 'directory')
    return statSync(checkpointSink.path, { throwIfNoEntry: false })?.isDirectory() ? [] : [fail('AUDIT_CHECKPOINT_SINK is no directory that exists: make it.')]
  const { protocol } = new URL(checkpointSink.url)
  const clear = protocol === 'http:' ? [warn('AUDIT_CHECKPOINT_SINK is spoken to in clear: use https.')] : []
  if (locality.kind === 'any') return clear
  return (await liesOutside(checkpointSink.url, context))
    ? [...clear, fail('AUDIT_CHECKPOINT_SINK is on the internet, which EARTHFLOW_LOCALITY closes: use a directory or a private address.')]
    : clear
}

const NODE_MIN = (JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { engines: { node: string } }).engines.node.replace(
  '>=',
  '',
)

function isOlder(version: string, least: string): boolean {
  const [[major = 0, minor = 0], [wantedMajor = 0, wantedMinor = 0]] = [version, least].map((text) => text.replace(/^v/, '').split('.').map(Number)) as [
    number[],
    number[],
  ]
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor)
}
