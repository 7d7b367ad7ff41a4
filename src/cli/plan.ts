/** What stands between a document of a policy file and what is: asked of the API, which changes nothing meanwhile. */
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { type Api, ApiRefused } from './api.ts'
import { BadFile, type PolicyDocument } from './policy-file.ts'
import { understood } from './understood.ts'

/** One thing that would change, for people. */
export interface Difference {
  sign: '+' | '~' | '-'
  text: string
}

export interface Plan {
  document: PolicyDocument
  /** The tenant's id; undefined is the key's own, or the installation. */
  tenant: string | undefined
  title: string
  differences: Difference[]
  /** What carries it out, in this order. */
  steps: Step[]
}

export interface Step {
  method: string
  path: string
  body: Record<string, unknown>
  /** The member of the document that the body was made of: where the API's fields are looked for. */
  from: string
}

export interface PlanOptions {
  api: Api
  /** The value of a variable of the environment that a document names. */
  secret(name: string): string | undefined
  /** Sends every credential again. They cannot be compared, for nobody can read them. */
  credentials: boolean
}

const TENANTS_PAGE = 1_000
const TENANT_PAGES_MAX = 100

const tenantPage = z.looseObject({ tenants: z.array(z.looseObject({ tenant_id: z.string(), name: z.string() })), total: z.number() })
const members = z.looseObject({})
const named = z.looseObject({ name: z.string() })
const imported = z.looseObject({
  policy_version: z.number(),
  diff: z.looseObject({
    added: z.array(named),
    removed: z.array(named),
    changed: z.array(z.looseObject({ name: z.string(), diff: z.array(z.looseObject({ path: z.string(), from: z.unknown(), to: z.unknown() })) })),
    dictionaries: z.looseObject({
      added: z.array(z.string()),
      removed: z.array(z.string()),
      changed: z.array(z.looseObject({ name: z.string(), terms_added: z.number(), terms_removed: z.number() })),
    }),
  }),
})

/** Throws BadFile for what the file says wrong, and what the API throws. */
export function createPlanner({ api, secret, credentials }: PlanOptions): (document: PolicyDocument) => Promise<Plan> {
  return async (document) => {
    const { tenant: word } = document
    const tenant = word === undefined ? undefined : await guarded(document, 'tenant', () => tenantIdOf(word, document.lineOf('tenant')))
    const title = document.tenant === undefined ? 'Earthflow' : document.tenant === tenant ? tenant : `${document.tenant} (${tenant})`
    const plan: Plan = { document, tenant, title, differences: [], steps: [] }
    await guarded(document, 'settings', () => planSettings(plan))
    await guarded(document, 'rules', () => planRules(plan))
    for (const index of (document.upstreams ?? []).keys()) await guarded(document, `upstreams.${index}`, () => planUpstream(plan, index))
    return plan
  }

  async function tenantIdOf(word: string, line: number): Promise<string> {
    if (/^t_[0-9a-z]+$/.test(word)) return word
    const found: string[] = []
    for (let page = 0, more = true; more && page < TENANT_PAGES_MAX; page++) {
      const { tenants, total } = understood(tenantPage, await api.ask('GET', `/v1/tenants?limit=${TENANTS_PAGE}&offset=${page * TENANTS_PAGE}`))
      found.push(...tenants.filter(({ name }) => name === word).map(({ tenant_id }) => tenant_id))
      more = (page + 1) * TENANTS_PAGE < total
    }
    if (found.length === 1) return found[0]
    throw new BadFile(
      line,
      found.length === 0 ? 'tenant: There is none of this name.' : `tenant: There are several of this name; write one of ${found.join(', ')}.`,
    )
  }

  async function planSettings({ document, tenant, differences, steps }: Plan): Promise<void> {
    const { settings } = document
    if (!settings || Object.keys(settings).length === 0) return
    if (tenant === undefined) throw new BadFile(document.lineOf('settings'), 'settings: Say by tenant: whose they are.')
    // The API shows the installation's default where a tenant has no limit of its own, so that null would differ for ever.
    if (settings.max_requests_per_minute === null)
      throw new BadFile(document.lineOf('settings.max_requests_per_minute'), 'settings.max_requests_per_minute: Must be a number.')
    const path = `/v1/tenants/${tenant}`
    const changed = differing(settings, understood(members, await api.ask('GET', path)))
    if (changed.length === 0) return
    differences.push(...changed.map(({ name, from, to }): Difference => ({ sign: '~', text: `setting ${name}: ${written(from)} → ${written(to)}` })))
    await tried(steps, tenant, { method: 'PATCH', path, body: Object.fromEntries(changed.map(({ name, to }) => [name, to])), from: 'settings' })
  }

  async function planRules({ document, tenant, differences, steps }: Plan): Promise<void> {
    const { rules, dictionaries, mode } = document
    if (!rules && !dictionaries) return
    if (mode === 'replace' && !rules) throw new BadFile(document.line, 'mode: With replace, the file lists all rules of the tenant.')
    const body = { rules: rules ?? [], ...(dictionaries ? { dictionaries } : {}), mode }
    const path = '/v1/rules/import'
    const { diff, policy_version } = understood(imported, await api.ask('POST', path, { tenant, body: { ...body, dry_run: true } }))
    const { added, removed, changed, dictionaries: lists } = diff
    const found: Difference[] = [
      ...added.map(({ name }): Difference => ({ sign: '+', text: `rule ${written(name)}` })),
      ...changed.flatMap(({ name, diff: parts }) =>
        parts.map(({ path: place, from, to }): Difference => ({ sign: '~', text: `rule ${written(name)}: ${place} ${written(from)} → ${written(to)}` })),
      ),
      ...removed.map(({ name }): Difference => ({ sign: '-', text: `rule ${written(name)}` })),
      ...lists.added.map((name): Difference => ({ sign: '+', text: `dictionary ${name}` })),
      ...lists.changed.map(
        ({ name, terms_added, terms_removed }): Difference => ({ sign: '~', text: `dictionary ${name}: ${terms_added} terms more, ${terms_removed} fewer` }),
      ),
      ...lists.removed.map((name): Difference => ({ sign: '-', text: `dictionary ${name}` })),
    ]
    if (found.length === 0) return
    differences.push(...found)
    // Whoever changes the policy between this look and the change is not overwritten. Another preset makes a version of its own first.
    const swaps = steps.some((step) => 'rules_preset' in step.body)
    steps.push({ method: 'POST', path: swaps || policy_version === 0 ? path : `${path}?expected_version=${policy_version}`, body, from: '' })
  }

  async function planUpstream({ document, tenant, differences, steps }: Plan, index: number): Promise<void> {
    const place = `upstreams.${index}`
    const { name, credential_env, ...fields } = (document.upstreams ?? [])[index]
    if ('credential' in fields)
      throw new BadFile(document.lineOf(`${place}.credential`), `${place}.credential: Name the variable that holds it, as credential_env.`)
    const path = `/v1/upstreams/${encodeURIComponent(name)}`
    const present = await api.ask('GET', path, { tenant }).then(members.parse, (error: unknown) => {
      if (error instanceof ApiRefused && error.status === 404) return null
      throw error
    })
    const credential = (): Record<string, unknown> => {
      if (credential_env === undefined) return {}
      const value = secret(credential_env)
      if (value === undefined) throw new BadFile(document.lineOf(`${place}.credential_env`), `${place}.credential_env: ${credential_env} is not set.`)
      return { credential: value }
    }
    if (!present) {
      differences.push({ sign: '+', text: `upstream ${name}` })
      await tried(steps, tenant, { method: 'POST', path: '/v1/upstreams', body: { name, ...fields, ...credential() }, from: place })
      return
    }
    const wanted = typeof fields.base_url === 'string' ? { ...fields, base_url: fields.base_url.replace(/\/+$/, '') } : fields
    const changed = differing(wanted, present)
    const again = credential_env !== undefined && (credentials || changed.some(({ name: member }) => member === 'base_url') || present.credential_set === false)
    if (changed.length === 0 && !again) return
    differences.push(
      ...changed.map(({ name: member, from, to }): Difference => ({ sign: '~', text: `upstream ${name}: ${member} ${written(from)} → ${written(to)}` })),
    )
    if (again) differences.push({ sign: '~', text: `upstream ${name}: its credential` })
    const body = { ...Object.fromEntries(changed.map(({ name: member, to }) => [member, to])), ...(again ? credential() : {}) }
    await tried(steps, tenant, { method: 'PATCH', path, body, from: place })
  }

  /** What the API would refuse, it refuses now. */
  async function tried(steps: Step[], tenant: string | undefined, step: Step): Promise<void> {
    await api.ask(step.method, `${step.path}?dry_run=true`, { tenant, body: step.body })
    steps.push(step)
  }
}

const UNAUTHENTICATED = 401

/** Runs a part of planning or of carrying out; what the API refuses becomes a line of the file, unless it is the key. */
export async function guarded<Result>(document: PolicyDocument, from: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof ApiRefused) || error.status === UNAUTHENTICATED) throw error
    const problems = error.problems.length > 0 ? error.problems : [{ field: error.field, message: error.message }]
    const told = problems.map(({ field: member, message }) => {
      const field = [from === 'rules' ? '' : from, member].filter((part) => part !== '').join('.')
      return { line: document.lineOf(field), said: field === '' || message.startsWith(field) ? message : `${field}: ${message}` }
    })
    const [first, ...more] = told
    throw new BadFile(first.line, [first.said, ...more.map(({ line, said }) => `line ${line}: ${said}`)].join('\n'))
  }
}

const differing = (wanted: Readonly<Record<string, unknown>>, present: Readonly<Record<string, unknown>>): { name: string; from: unknown; to: unknown }[] =>
  Object.entries(wanted)
    .filter(([name, to]) => !isDeepStrictEqual(meant(present[name]), meant(to)))
    .map(([name, to]) => ({ name, from: present[name], to }))

/** Null, an empty list, and members that hold nothing else say as much as what is left out: the API shows every limit there is, a file names a few. */
function meant(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value ?? undefined
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(meant)
  const members = Object.entries(value)
    .map(([name, member]) => [name, meant(member)] as const)
    .filter(([, said]) => said !== undefined)
  return members.length === 0 ? undefined : Object.fromEntries(members)
}

const WRITTEN_CHARACTERS_MAX = 200
const written = (value: unknown): string => {
  const text = value === undefined ? 'nothing' : JSON.stringify(value)
  return text.length <= WRITTEN_CHARACTERS_MAX ? text : `${text.slice(0, WRITTEN_CHARACTERS_MAX)}…`
}
