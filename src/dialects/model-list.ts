/** How vendors' lists of models are written. */

export interface ModelList {
  /** What asks for all of a list at once, with its question mark; empty where a list comes whole. */
  query: string
  /** The models of a parsed list with their ids; empty for what is none. */
  read(body: unknown): [id: string, entry: object][]
  /** A model of which only the name is known. */
  entry(id: string): object
  list(models: readonly [id: string, entry: object][]): object
}

const itemsOf = (body: unknown, member: string): Record<string, unknown>[] => {
  const list: unknown = typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[member] : undefined
  return Array.isArray(list) ? list.filter((item) => typeof item === 'object' && item !== null) : []
}
const named = (items: readonly Record<string, unknown>[], member: string): [string, object][] =>
  items.flatMap((item): [string, object][] => (typeof item[member] === 'string' ? [[item[member], item]] : []))

export const openaiModels: ModelList = {
  query: '',
  read: (body) => named(itemsOf(body, 'data'), 'id'),
  entry: (id) => ({ id, object: 'model', created: 0, owned_by: 'upstream' }),
  list: (models) => ({ object: 'list', data: models.map(([, entry]) => entry) }),
}

export const anthropicModels: ModelList = {
  query: '?limit=1000',
  read: (body) => named(itemsOf(body, 'data'), 'id'),
  entry: (id) => ({ type: 'model', id, display_name: id, created_at: '1970-01-01T00:00:00Z' }),
  list: (models) => ({ data: models.map(([, entry]) => entry), has_more: false, first_id: models[0]?.[0] ?? null, last_id: models.at(-1)?.[0] ?? null }),
}

const PREFIX = 'models/'
export const geminiModels: ModelList = {
  query: '?pageSize=1000',
  read: (body) => named(itemsOf(body, 'models'), 'name').map(([name, entry]) => [name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name, entry]),
  entry: (id) => ({ name: PREFIX + id, displayName: id, supportedGenerationMethods: ['generateContent', 'countTokens'] }),
  list: (models) => ({ models: models.map(([, entry]) => entry) }),
}
