/** Upstreams that the settings or the mode of running call for; they serve every tenant. */
import { formats } from '../dialects/index.ts'
import type { UpstreamFields } from './store.ts'
import { SANDBOX_URL } from './upstream.ts'

/** Providers that one setting makes an upstream of every tenant. They are called like the vendor of their formats. */
export const providers = [
  { name: 'openai', key: 'openaiKey', baseUrl: 'https://api.openai.com/v1' },
  { name: 'anthropic', key: 'anthropicKey', baseUrl: 'https://api.anthropic.com' },
  { name: 'gemini', key: 'geminiKey', baseUrl: 'https://generativelanguage.googleapis.com' },
] as const
const dialectsOf = (vendor: string): string[] => formats.filter((dialect) => dialect.vendor.name === vendor).map(({ name }) => name)

export interface UpstreamSettings {
  env: string
  upstreams: Record<(typeof providers)[number]['key'], string | null>
}

/** `sandboxDialects`: what the sandbox speaks, which is there in development. */
export function upstreamsOf({ env, upstreams }: UpstreamSettings, sandboxDialects: readonly string[]): UpstreamFields[] {
  const provider = (name: string, fields: Pick<UpstreamFields, 'dialects' | 'baseUrl'> & Partial<UpstreamFields>): UpstreamFields => ({
    name,
    credential: null,
    credentialMode: 'stored',
    models: ['*'],
    priority: 0,
    weight: 1,
    region: null,
    timeouts: {},
    prices: [],
    active: true,
    ...fields,
  })
  return [
    ...(env === 'development'
      ? [
          provider('sandbox', {
            dialects: [...sandboxDialects],
            baseUrl: SANDBOX_URL,
            models: ['sandbox', 'sandbox-*'],
            priority: 100,
            // So that costs and budgets can be tried.
            prices: [{ model: '*', input: 1, output: 2 }],
          }),
        ]
      : []),
    ...providers.flatMap(({ name, key, baseUrl }) => {
      const credential = upstreams[key]
      return credential === null ? [] : [provider(name, { dialects: dialectsOf(name), baseUrl, credential })]
    }),
  ]
}
