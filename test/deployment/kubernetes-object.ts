/** What is wrong with a Kubernetes object, told offline: by the validators of kubernetes-models, and by what they never look at. */

/** An object as `kubectl kustomize` prints it, as far as every one is alike. */
export interface KubernetesObject {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> }
  [key: string]: unknown
}

interface Validator {
  (data: unknown): boolean
  errors?: readonly { instancePath: string; message?: string; keyword: string; params: Record<string, unknown> }[] | null
}

/** A sentence for each value of a wrong type, missing key and unknown key; null where kubernetes-models has no such kind. */
export async function problemsOf(object: KubernetesObject): Promise<string[] | null> {
  const validate = await validatorOf(object)
  if (validate === null) return null
  const { watched, unread } = watch(object)
  validate(watched)
  const wrong = (validate.errors ?? []).map(({ instancePath, keyword, params }) => `${instancePath} ${keyword} ${JSON.stringify(params)}`)
  return [...wrong, ...unread().map((path) => `${path} is no key of ${object.kind}`)]
}

async function validatorOf({ apiVersion, kind }: KubernetesObject): Promise<Validator | null> {
  const [version, group = 'core'] = apiVersion.split('/').reverse()
  const name = `IoK8sApi${capital(group.split('.')[0]!)}${capital(version!)}${kind}`
  try {
    return ((await import(`kubernetes-models/_schemas/${name}`)) as { validate: Validator }).validate
  } catch {
    return null
  }
}

const capital = (word: string): string => `${word[0]!.toUpperCase()}${word.slice(1)}`

/**
 * kubernetes-models accepts any key, so a misspelt one passes. But its validators look at each key they know, and go through maps such as labels whole: what
 * was never looked at is a key they do not know.
 */
export function watch(value: object): { watched: object; unread(): string[] } {
  const read = new Set<string>()
  const watched = (at: object, path: string): object =>
    new Proxy(at, {
      get(target, key, receiver) {
        const found: unknown = Reflect.get(target, key, receiver)
        if (typeof key === 'symbol' || !Object.hasOwn(target, key)) return found
        read.add(`${path}/${key}`)
        return typeof found === 'object' && found !== null ? watched(found, `${path}/${key}`) : found
      },
    })
  return { watched: watched(value, ''), unread: () => unreadIn(value, '', read) }
}

/** Of what was not read itself nothing further is told. */
function unreadIn(value: unknown, path: string, read: ReadonlySet<string>): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => (read.has(`${path}/${key}`) ? unreadIn(inner, `${path}/${key}`, read) : [`${path}/${key}`]))
}
