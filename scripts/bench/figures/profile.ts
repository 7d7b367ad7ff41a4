/** Says of each sample of a CPU profile which stage of a call it belongs to. */

/** As V8's inspector writes it. Times are microseconds. */
export interface CpuProfile {
  nodes: readonly { id: number; callFrame: { functionName: string; url: string }; children?: readonly number[] }[]
  samples: readonly number[]
  timeDeltas: readonly number[]
}

interface Area {
  name: string
  /** Of the address of a script. */
  files: RegExp
  /** Others call it too: it belongs to whoever called, and to its own area only where nobody else of this table did. */
  isShared?: boolean
}

/** Under the pipeline's own names first. Looked through from the innermost frame out: the first that fits has it. */
const AREAS: readonly Area[] = [
  { name: 'authenticate', files: /\/src\/(?:pipeline\/(?:authenticate|open-sessions)|access\/)/ },
  { name: 'decode', files: /\/src\/(?:pipeline\/(?:decode|decompress|surroundings|metadata)|dialects\/bodies\/)/ },
  { name: 'fingerprint', files: /\/src\/(?:pipeline\/(?:fingerprint|call-hash)|audit\/prompt-hash)/ },
  { name: 'admit', files: /\/src\/(?:pipeline\/(?:admit|allowed-models|way|limit-headers|budget)|limits\/|budgets\/|upstreams\/route)/ },
  { name: 'screen reply', files: /\/src\/(?:pipeline\/screen-reply|rules\/replies\/)/ },
  { name: 'enforce', files: /\/src\/(?:pipeline\/(?:enforce|hold|still-may)|rules\/redact|escalations\/)/ },
  { name: 'judge', files: /\/src\/(?:pipeline\/judge|rules\/)|\/node_modules\/re2js\// },
  { name: 'open record', files: /\/src\/pipeline\/open-record/ },
  { name: 'forward', files: /\/src\/(?:pipeline\/(?:forward|relay|reply-meter|envelope)|upstreams\/|egress\/)/ },
  { name: 'settle: meter', files: /\/src\/(?:pipeline\/(?:meter|bill)|prices\/)/ },
  { name: 'settle: audit', files: /\/src\/(?:pipeline\/audit|audit\/|audit-service|webhooks\/)/, isShared: true },
  { name: 'database client', files: /\/node_modules\/(?:postgres|drizzle-orm|@redis)\/|\/src\/db\// },
  { name: 'log', files: /\/src\/telemetry\/(?:log|rare-line)|\/node_modules\/(?:pino|sonic-boom|thread-stream|safe-stable-stringify)[^/]*\// },
  { name: 'metrics', files: /\/src\/(?:telemetry\/|pipeline\/observe)|\/node_modules\/prom-client\// },
  { name: 'undici', files: /\/node_modules\/undici\// },
  { name: 'http server', files: /^node:(?:_http|http|internal\/http)|\/src\/proxy\// },
  { name: 'sockets and streams', files: /^node:(?:net|tls|_tls|internal\/(?:streams?|stream_base|tls)|stream|events|timers|internal\/timers)/, isShared: true },
  { name: 'run', files: /\/src\/(?:pipeline\/|serving)/, isShared: true },
]
const GARBAGE = 'garbage collection'
const REST = 'everything else'
/** What the samples of idle time are called. */
const IDLE = '(idle)'

/** Microseconds of each area, the largest first; idle time is not among them. */
export function attribute(profile: CpuProfile): { name: string; us: number }[] {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const parents = new Map<number, number>()
  for (const { id, children } of profile.nodes) for (const child of children ?? []) parents.set(child, id)
  const known = new Map<number, string | null>()
  const areaOf = (id: number): string | null => {
    const found = known.get(id)
    if (found !== undefined) return found
    const stack: string[] = []
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) stack.push(nodes.get(at)!.callFrame.url)
    const area = areaOfStack(nodes.get(id)!.callFrame.functionName, stack)
    known.set(id, area)
    return area
  }
  const sums = new Map<string, number>()
  profile.samples.forEach((id, i) => {
    const area = areaOf(id)
    // The time of a sample is that until the next one.
    if (area !== null) sums.set(area, (sums.get(area) ?? 0) + (profile.timeDeltas[i + 1] ?? 0))
  })
  return [...sums].map(([name, us]) => ({ name, us })).toSorted((a, b) => b.us - a.us)
}

/** The area of a stack of script addresses, the innermost first; null where the thread was idle. */
export function areaOfStack(innermost: string, urls: readonly string[]): string | null {
  if (innermost === IDLE) return null
  if (innermost === '(garbage collector)') return GARBAGE
  let shared: string | null = null
  for (const url of urls) {
    const area = url === '' ? undefined : AREAS.find(({ files }) => files.test(url))
    if (area && !area.isShared) return area.name
    shared ??= area?.name ?? null
  }
  return shared ?? REST
}
