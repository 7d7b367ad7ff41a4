import assert from 'node:assert/strict'
import { test } from 'node:test'
import { each, named, skip, specOf, the } from './each-overlay.ts'
import { kustomizeVersion } from './kubectl.ts'
import { environmentOf, podsOf } from './pods.ts'
import { renderOverlay } from './render-overlay.ts'
import { STOP_SECONDS_MORE } from './settings-named.ts'
import { wrongCommand } from './verbs-named.ts'
import { wholeConfig } from './whole-config.ts'

each('probes ask what is answered: a path of health, a port that is listened on, in TLS where the pod speaks it', (objects) => {
  for (const { owner, kind, spec } of podsOf(objects)) {
    if (kind === 'Job' || kind === 'CronJob') continue
    for (const container of spec.containers) {
      const environment = environmentOf(container, objects)
      const ports = new Map((container.ports ?? []).map(({ name, containerPort }) => [name, containerPort]))
      const listens = environment.EARTHFLOW_SERVICES === 'dashboard' ? 8080 : 8443
      for (const [probe, path] of [
        ['startupProbe', '/health/live'],
        ['livenessProbe', '/health/live'],
        ['readinessProbe', '/health/ready'],
      ] as const) {
        const { httpGet } = container[probe] ?? assert.fail(`${owner} has no ${probe}`)
        assert.equal(httpGet.path, path, owner)
        assert.equal(ports.get(httpGet.port), listens, owner)
        assert.equal(httpGet.scheme, environment.EARTHFLOW_TLS === 'terminated' ? 'HTTP' : 'HTTPS', owner)
      }
    }
  }
})

each('Earthflow takes the whole environment of every pod, and runs there what it should', (objects, overlay) => {
  for (const { owner, kind, spec } of podsOf(objects)) {
    const config = wholeConfig(environmentOf(spec.containers[0]!, objects))
    assert.deepEqual(config.unknown, [], owner)
    assert.equal(config.database.kind, overlay === 'minimal' ? 'embedded' : 'postgres', owner)
    assert.equal(config.redisUrl === null, overlay === 'minimal', owner)
    const services = overlay === 'minimal' ? 'both' : owner === 'Deployment earthflow-dashboard' ? 'dashboard' : 'proxy'
    assert.equal(config.services, services, owner)
    if (services === 'dashboard') assert.equal(config.dashboard.host, '0.0.0.0', `${kind} is reached from outside`)
  }
})

each('a pod has the time to end its calls before it is killed', (objects) => {
  for (const { owner, kind, spec } of podsOf(objects)) {
    if (kind === 'Job' || kind === 'CronJob') continue
    const [container] = spec.containers
    const drain = Number(environmentOf(container!, objects).EARTHFLOW_DRAIN_SECONDS)
    const preStop = container!.lifecycle?.preStop?.sleep?.seconds ?? 0
    assert.ok((spec.terminationGracePeriodSeconds ?? 30) >= preStop + drain + STOP_SECONDS_MORE, owner)
  }
})

each('every Service and Ingress leads to pods and a port of theirs', (objects) => {
  const pods = podsOf(objects)
  for (const { metadata, spec } of named(objects, 'Service')) {
    const { selector, ports } = spec as { selector: Record<string, string>; ports: { name: string; targetPort: string; appProtocol: string }[] }
    const meant = pods.filter(({ labels }) => Object.entries(selector).every(([name, value]) => labels[name] === value))
    assert.equal(meant.length, 1, metadata.name)
    for (const { targetPort, appProtocol } of ports) {
      const [container] = meant[0]!.spec.containers
      assert.ok(
        container!.ports?.some(({ name }) => name === targetPort),
        metadata.name,
      )
      assert.equal(appProtocol, environmentOf(container!, objects).EARTHFLOW_TLS === 'terminated' ? 'http' : 'https', metadata.name)
    }
  }
  const ingresses = named(objects, 'Ingress')
  assert.ok(ingresses.length > 0)
  for (const { metadata, spec } of ingresses) {
    const { rules } = spec as { rules: { http: { paths: { backend: { service: { name: string; port: { name: string } } } }[] } }[] }
    for (const { backend } of rules.flatMap(({ http }) => http.paths)) {
      const { ports } = specOf<{ ports: { name: string; appProtocol: string }[] }>(the(objects, 'Service', backend.service.name))
      const port = ports.find(({ name }) => name === backend.service.port.name) ?? assert.fail(metadata.name)
      assert.equal(metadata.annotations?.['nginx.ingress.kubernetes.io/backend-protocol'], port.appProtocol.toUpperCase(), metadata.name)
    }
    assert.equal(metadata.annotations?.['nginx.ingress.kubernetes.io/proxy-buffering'], 'off', metadata.name)
  }
})

each('nothing comes in or goes out but what a NetworkPolicy names, and never the metadata address of a cloud', (objects) => {
  const policies = named(objects, 'NetworkPolicy').map(({ spec }) => spec as NetworkPolicy)
  assert.ok(
    policies.some(({ podSelector, policyTypes, ingress, egress }) => Object.keys(podSelector).length === 0 && policyTypes.length === 2 && !ingress && !egress),
  )
  const blocks = policies.flatMap(({ egress = [] }) => egress.flatMap(({ to = [] }) => to.flatMap(({ ipBlock }) => ipBlock ?? [])))
  for (const { cidr, except = [] } of blocks)
    if (cidr === '0.0.0.0/0') for (const net of ['169.254.0.0/16', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16']) assert.ok(except.includes(net), net)
  for (const { egress = [], ingress = [] } of policies)
    for (const rule of [...egress, ...ingress]) assert.ok((rule.ports?.length ?? 0) > 0, 'a rule without ports opens all')
})

interface NetworkPolicy {
  podSelector: object
  policyTypes: string[]
  ingress?: { ports?: unknown[] }[]
  egress?: { ports?: unknown[]; to?: { ipBlock?: { cidr: string; except?: string[] } }[] }[]
}

each('jobs run verbs of the program, with options that these have', async (objects) => {
  for (const { owner, kind, spec } of podsOf(objects)) {
    if (kind === 'Job' || kind === 'CronJob') assert.deepEqual(await wrongCommand(spec.containers[0]?.args ?? []), [], owner)
  }
})

test('production is 2 to 10 pods, one gone at a time; durable keeps every spool on a volume; minimal is one pod that owns its database', { skip }, async () => {
  for (const [overlay, kind] of [
    ['production', 'Deployment'],
    ['durable', 'StatefulSet'],
  ] as const) {
    const objects = await renderOverlay(overlay)
    assert.equal(specOf<{ replicas?: number }>(the(objects, kind, 'earthflow-proxy')).replicas, undefined, 'the autoscaler says how many')
    const scaler = specOf<Scaler>(the(objects, 'HorizontalPodAutoscaler', 'earthflow-proxy'))
    assert.deepEqual(
      { ...scaler.scaleTargetRef, min: scaler.minReplicas, max: scaler.maxReplicas },
      { apiVersion: 'apps/v1', kind, name: 'earthflow-proxy', min: 2, max: 10 },
    )
    assert.equal(scaler.metrics[0]?.resource.target.averageUtilization, 70)
    assert.equal(scaler.behavior.scaleDown.stabilizationWindowSeconds, 300)
    assert.equal(specOf<{ maxUnavailable: number }>(the(objects, 'PodDisruptionBudget', 'earthflow-proxy')).maxUnavailable, 1)
    const proxy = podsOf(objects).find(({ owner }) => owner === `${kind} earthflow-proxy`)!
    assert.deepEqual(proxy.spec.containers[0]?.resources?.requests?.cpu, '500m')
    assert.equal(proxy.claimed.includes('data'), overlay === 'durable')
    assert.equal(
      (proxy.spec.volumes ?? []).some(({ name }) => name === 'data'),
      overlay === 'production',
    )
  }
  const minimal = podsOf(await renderOverlay('minimal'))
  assert.deepEqual(
    minimal.map(({ owner, claimed }) => ({ owner, claimed })),
    [{ owner: 'StatefulSet earthflow-proxy', claimed: ['data'] }],
  )
  assert.equal(specOf<{ replicas: number }>(the(await renderOverlay('minimal'), 'StatefulSet', 'earthflow-proxy')).replicas, 1)
})

interface Scaler {
  scaleTargetRef: object
  minReplicas: number
  maxReplicas: number
  metrics: { resource: { target: { averageUtilization: number } } }[]
  behavior: { scaleDown: { stabilizationWindowSeconds: number } }
}

test('the version of kustomize is read off what kubectl prints', () => {
  assert.equal(kustomizeVersion('Client Version: v1.32.4\nKustomize Version: v5.5.0\n'), 5.5)
  assert.equal(kustomizeVersion('Client Version: version.Info{Major:"1", Minor:"20"}'), 0)
})
