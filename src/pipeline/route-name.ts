import type { Dialect } from '../dialects/dialect.ts'
import type { Endpoint } from '../dialects/endpoint.ts'

const MODELS = '/v1/models'

/**
 * The path of a call as its dialect's list has it, such as `/v1/chat/completions`, and of what no dialect describes its beginning and a star: one of few
 * words, where the path itself is the caller's to write.
 */
export function routeName({ kind, path, dialect }: Endpoint): string {
  if (kind === 'models') return MODELS
  if (kind === 'native') return `${BEGINNING.exec(path)?.[0] ?? ''}/*`
  if (dialect.paths.includes(path)) return path
  return templatesOf(dialect).find(({ pattern }) => pattern.test(path))?.name ?? `${dialect.name}/*`
}

const BEGINNING = /^\/(?:v1beta1?|v1alpha|v1|openai|upload)(?=\/)/

interface Template {
  name: string
  pattern: RegExp
}
const templates = new WeakMap<Dialect, readonly Template[]>()

function templatesOf(dialect: Dialect): readonly Template[] {
  const known = templates.get(dialect)
  if (known) return known
  const made = dialect.paths
    .filter((path) => path.includes('{'))
    .map((name) => ({ name, pattern: new RegExp(`^${name.replaceAll(/\{\w+\}/g, '[^/]+')}$`, 'i') }))
  templates.set(dialect, made)
  return made
}
