/** The kinds of the Prometheus operator that k8s/ uses, as far as it uses them; their definitions come in no npm package. */
import { z } from 'zod'
import type { KubernetesObject } from './kubernetes-object.ts'

const labels = z.record(z.string(), z.string())
const metadata = z.strictObject({ name: z.string(), namespace: z.string(), labels, annotations: labels.optional() })
const duration = z.string().regex(/^(?:\d+(?:ms|[smhdwy]))+$/)
const keyOfSecret = z.strictObject({ name: z.string(), key: z.string() })

const shapes = {
  ServiceMonitor: z.strictObject({
    apiVersion: z.literal('monitoring.coreos.com/v1'),
    kind: z.literal('ServiceMonitor'),
    metadata,
    spec: z.strictObject({
      selector: z.strictObject({ matchLabels: labels }),
      endpoints: z
        .array(
          z.strictObject({
            port: z.string(),
            path: z.literal('/v1/dashboard/metrics'),
            scheme: z.enum(['http', 'https']),
            interval: duration,
            scrapeTimeout: duration,
            authorization: z.strictObject({ type: z.literal('Bearer'), credentials: keyOfSecret }),
            tlsConfig: z.strictObject({ serverName: z.string(), ca: z.strictObject({ secret: keyOfSecret }) }).optional(),
          }),
        )
        .min(1),
    }),
  }),
  PrometheusRule: z.strictObject({
    apiVersion: z.literal('monitoring.coreos.com/v1'),
    kind: z.literal('PrometheusRule'),
    metadata,
    spec: z.strictObject({
      groups: z
        .array(
          z.strictObject({
            name: z.string(),
            interval: duration.optional(),
            rules: z
              .array(
                z.union([
                  z.strictObject({
                    alert: z.string(),
                    expr: z.string(),
                    for: duration.optional(),
                    keep_firing_for: duration.optional(),
                    labels,
                    annotations: labels,
                  }),
                  z.strictObject({ record: z.string(), expr: z.string(), labels: labels.optional() }),
                ]),
              )
              .min(1),
          }),
        )
        .min(1),
    }),
  }),
} as const

/** A sentence for each thing that is not so; one for a kind that is none of these. */
export function monitoringProblems(object: KubernetesObject): string[] {
  if (!Object.hasOwn(shapes, object.kind)) return [`${object.apiVersion} has no kind ${object.kind}`]
  const { error } = shapes[object.kind as keyof typeof shapes].safeParse(object)
  return (error?.issues ?? []).map(({ path, message }) => `/${path.join('/')}: ${message}`)
}
