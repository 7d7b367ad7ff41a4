/** Who is told of events, and how they get there. */
import { bySystem, type Change } from './audit/record-change.ts'
import type { Config } from './config.ts'
import type { Keyring } from './crypto/keyring.ts'
import type { Database, Tx } from './db/connect.ts'
import type { Egress } from './egress/dispatcher.ts'
import type { Metrics } from './telemetry/metrics.ts'
import { createDeliveries } from './webhooks/deliveries.ts'
import { createEndpoints } from './webhooks/endpoints.ts'
import { createSubscriptions } from './webhooks/subscriptions.ts'

export interface WebhookServiceParts {
  config: Pick<Config, 'env' | 'webhooks'>
  database: Database
  keyring: Keyring
  /** The way out to whoever is told of things. */
  egress: Egress
  version: string
  metrics: Metrics
  record: (tx: Tx, change: Change) => Promise<void>
  /** Something was committed that this process has to read again, and to tell. */
  changed: () => Promise<void>
  report: (error: unknown, context?: object) => void
}

export function createWebhookService({ config, database, keyring, egress, version, metrics, record, changed, report }: WebhookServiceParts) {
  const { db } = database
  const https = config.env === 'production' ? 'required' : 'unless opened'
  const endpoints = createEndpoints({ db, keyring, checkUrl: (url) => egress.check(url, { https }), now: Date.now })
  const deliveries = createDeliveries({
    database,
    egress,
    https,
    secretsOf: (row) => endpoints.secretsOf(row),
    settings: config.webhooks,
    version,
    now: () => performance.now(),
    wallNow: Date.now,
    random: Math.random,
    record: (tx, change) => record(tx, bySystem(change)),
    disabled: changed,
    measure: ({ result, ms }) => metrics.attempted(result, ms),
    report,
  })
  metrics.gauge(
    'earthflow_webhook_oldest_due_seconds',
    'For how long the oldest delivery has been due, when this process last looked.',
    () => deliveries.oldestDueMs() / 1000,
    'max',
  )
  const subscriptions = createSubscriptions({ db })
  return {
    endpoints,
    deliveries,
    subscriptions,
    /** Somebody changed endpoints. Rejects where they cannot be read. */
    async reload(): Promise<void> {
      deliveries.nudge()
      await subscriptions.load()
    },
  }
}
