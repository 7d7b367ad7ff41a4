import { z } from 'zod'
import { type Route, route } from './route.ts'

const setting = z.strictObject({
  name: z.string(),
  value: z.string().nullable().meta({ description: 'As it was written; *** for a secret that is set, and in place of what a URL says of its user.' }),
  default: z.string().nullable(),
  secret: z.boolean(),
  source: z.enum(['environment', 'file', 'default']).meta({ description: 'file: .env, a NAME_FILE, or what the first run made.' }),
})

export interface SettingsParts {
  /** Every setting as this process has it, without what is secret. */
  settings: readonly z.input<typeof setting>[]
}

export function settingsRoutes({ settings }: SettingsParts): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/ops/config',
      scope: 'ops:read',
      tenant: 'none',
      summary: 'Every setting, as the process has it that answers, and where it has it from. Of secrets only whether they are set.',
      answer: z.strictObject({ settings: z.array(setting) }),
      run: async () => ({ settings: [...settings] }),
    }),
  ]
}
