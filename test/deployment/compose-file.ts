/** What a Compose file may say, as far as ours say it (compose-spec); a key that is not here is a misspelt one, or new and to be added. */
import { z } from 'zod'

const texts = z.array(z.string())
const value = z.union([z.string(), z.number(), z.boolean()])

const service = z.strictObject({
  image: z.string(),
  build: z.union([z.string(), z.strictObject({ context: z.string(), target: z.string() })]).optional(),
  user: z.string().optional(),
  working_dir: z.string().optional(),
  hostname: z.string().optional(),
  entrypoint: texts.optional(),
  command: texts.optional(),
  environment: z.record(z.string(), value).optional(),
  env_file: z.array(z.strictObject({ path: z.string(), required: z.boolean() })).optional(),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.enum(['service_healthy', 'service_started', 'service_completed_successfully']) })).optional(),
  healthcheck: z
    .strictObject({
      test: texts.optional(),
      disable: z.boolean().optional(),
      interval: z.string().optional(),
      timeout: z.string().optional(),
      retries: z.number().optional(),
      start_period: z.string().optional(),
    })
    .optional(),
  ports: texts.optional(),
  networks: texts.optional(),
  network_mode: z.literal('none').optional(),
  volumes: texts.optional(),
  secrets: texts.optional(),
  tmpfs: texts.optional(),
  read_only: z.boolean().optional(),
  cap_drop: texts.optional(),
  security_opt: texts.optional(),
  restart: z.enum(['no', 'unless-stopped']).optional(),
  profiles: texts.optional(),
  mem_limit: z.string().optional(),
  cpus: z.number().optional(),
  pids_limit: z.number().optional(),
  shm_size: z.string().optional(),
  ulimits: z.strictObject({ nofile: z.number() }).optional(),
  stop_signal: z.string().optional(),
  stop_grace_period: z.string().optional(),
  logging: z.strictObject({ driver: z.string(), options: z.record(z.string(), z.string()) }).optional(),
  /** Known, so that a test can say that there is none. */
  container_name: z.string().optional(),
})

const file = z.looseObject({
  name: z.string(),
  services: z.record(z.string(), service),
  networks: z
    .record(
      z.string(),
      z.strictObject({ internal: z.boolean().optional(), ipam: z.strictObject({ config: z.array(z.strictObject({ subnet: z.string() })) }).optional() }),
    )
    .optional(),
  volumes: z.record(z.string(), z.strictObject({})).optional(),
  secrets: z.record(z.string(), z.strictObject({ file: z.string() })).optional(),
})

export type Service = z.infer<typeof service>
export type ComposeFile = z.infer<typeof file>

/** A sentence for each key that is unknown or of a wrong type, and for each thing that is named and not there. */
export function composeProblems(content: ComposeFile): string[] {
  const { error } = file.safeParse(content)
  const wrong = (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`)
  const others = Object.keys(content).filter((key) => !Object.hasOwn(file.shape, key) && !key.startsWith('x-'))
  return [...wrong, ...others.map((key) => `${key} is no key of a Compose file`), ...missing(content)]
}

function missing({ services, networks = {}, volumes = {}, secrets = {} }: ComposeFile): string[] {
  return Object.entries(services).flatMap(([name, service]) => {
    const named = (service.volumes ?? []).flatMap((volume) => /^([\w-]+):/.exec(volume)?.[1] ?? [])
    const lacking = (of: object, wanted: readonly string[]): string[] =>
      wanted.filter((each) => !Object.hasOwn(of, each)).map((each) => `${name}: there is no ${each}`)
    return [
      ...lacking(services, Object.keys(service.depends_on ?? {})),
      ...lacking(networks, service.networks ?? []),
      ...lacking(volumes, named),
      ...lacking(secrets, service.secrets ?? []),
    ]
  })
}
