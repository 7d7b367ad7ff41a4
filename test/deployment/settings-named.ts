/** Whether what a deployment sets is a setting, and may be set so. */
import { settings } from '../../src/settings.ts'

/** Of Node itself: authorities beside its own, flags. */
const OF_NODE = ['NODE_EXTRA_CA_CERTS', 'NODE_OPTIONS', 'NODE_ENV', 'NODE_COMPILE_CACHE']

/** A sentence for each variable that is no setting, is a secret written in the open, or has a value that the setting refuses. Values with `${…}` are not looked at. */
export function wrongSettings(environment: Readonly<Record<string, string>>): string[] {
  return Object.entries(environment).flatMap(([name, value]) => {
    if (OF_NODE.includes(name)) return []
    const isFile = name.endsWith('_FILE') && isSecret(name.slice(0, -5))
    if (isFile) return value.startsWith('/') ? [] : [`${name} is no absolute path`]
    if (!Object.hasOwn(settings, name)) return [`${name} is no setting`]
    if (value === '' || value.includes('${')) return []
    if (isSecret(name)) return [`${name} is a secret and stands here`]
    try {
      settings[name as keyof typeof settings].parse(value)
      return []
    } catch (error) {
      return [`${name}: ${error instanceof Error ? error.message : error}`]
    }
  })
}

const isSecret = (name: string): boolean => 'secret' in (settings[name as keyof typeof settings] ?? {})

/** How long Earthflow may take to stop beyond EARTHFLOW_DRAIN_SECONDS: it takes new calls at first, and puts what was cut on record (src/drain.ts). */
export const STOP_SECONDS_MORE = 15
