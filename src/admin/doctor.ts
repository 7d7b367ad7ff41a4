import { z } from 'zod'
import { type Route, route } from './route.ts'

const finding = z.strictObject({
  check: z.string(),
  level: z
    .enum(['fail', 'warn'])
    .meta({ description: 'fail: somebody could misuse it, or something will break. warn: somebody should decide that it is meant to be so.' }),
  sentence: z.string().meta({ description: 'What is so, and what to do.' }),
})

const service = z.strictObject({
  state: z
    .enum(['ok', 'degraded', 'failed'])
    .meta({ description: 'failed: a new call would be refused. degraded: something is away that calls can do without.' }),
  detail: z.string().optional(),
})

const examination = z.strictObject({
  checks: z.array(z.strictObject({ name: z.string(), about: z.string() })).meta({ description: 'What was looked at.' }),
  findings: z.array(finding),
  services: z.record(z.string(), service).nullable().meta({ description: 'What GET /health/services says of this process; null where it takes no calls.' }),
})

export interface DoctorParts {
  doctor: {
    /** Makes all checks, one examination at a time. */
    examine(): Promise<{ checks: { name: string; about: string }[]; findings: z.input<typeof finding>[] }>
    /** What readiness asks, check by check; null where this process takes no calls. */
    services(): Promise<Record<string, z.input<typeof service>> | null>
  }
}

export function doctorRoutes(parts: DoctorParts): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/ops/doctor',
      scope: 'admin',
      tenant: 'none',
      summary: 'What `earthflow doctor` finds, on the settings and the database of the process that answers, and what its health is. Changes nothing.',
      answer: examination,
      async run() {
        const { doctor } = parts
        const { checks, findings } = await doctor.examine()
        return { checks, findings: findings.map(({ check, level, sentence }) => ({ check, level, sentence })), services: await doctor.services() }
      },
    }),
  ]
}
