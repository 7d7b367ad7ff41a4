import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { each, named, skip, specOf, the } from './each-overlay.ts'
import { type KubernetesObject, problemsOf } from './kubernetes-object.ts'
import { monitoringProblems } from './monitoring-shape.ts'
import { environmentOf, podsOf } from './pods.ts'
import { renderOverlay } from './render-overlay.ts'
import { wrongSettings } from './settings-named.ts'

const root = join(import.meta.dirname, '..', '..')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
const secretKeys = [...readFileSync(join(root, 'k8s', 'make-secrets'), 'utf8').matchAll(/^ {2}key ([\w-]+) /gm)].map(([, key]) => key!)

each('every object is what its kind may be, with no key that the kind does not know', async (objects) => {
  assert.ok(objects.length > 10)
  const problems = await Promise.all(objects.map(async (object) => ({ object, problems: (await problemsOf(object)) ?? monitoringProblems(object) })))
  assert.deepEqual(
    problems.flatMap(({ object, problems }) => problems.map((problem) => `${object.kind} ${object.metadata.name}: ${problem}`)),
    [],
  )
})

test('a misspelt key, a wrong type and a missing key are caught, however deep', { skip }, async () => {
  const workload = the(await renderOverlay('production'), 'Deployment', 'earthflow-proxy')
  const spoilt = async (spoil: (container: Record<string, unknown>, object: KubernetesObject) => void): Promise<string[] | null> => {
    const copy = structuredClone(workload)
    spoil(podsOf([copy])[0]!.spec.containers[0] as unknown as Record<string, unknown>, copy)
    return problemsOf(copy)
  }
  assert.deepEqual(await spoilt(() => {}), [])
  assert.deepEqual(
    await spoilt((container) => {
      container.imagee = container.image
    }),
    ['/spec/template/spec/containers/0/imagee is no key of Deployment'],
  )
  assert.deepEqual(
    await spoilt(({ readinessProbe }) => {
      ;(readinessProbe as { httpGet: Record<string, unknown> }).httpGet.schema = 'HTTPS'
    }),
    ['/spec/template/spec/containers/0/readinessProbe/httpGet/schema is no key of Deployment'],
  )
  const wrongType = await spoilt((_, object) => {
    object.spec = { ...(object.spec as object), replicas: 'two' }
  })
  assert.match(wrongType?.[0] ?? '', /^\/spec\/replicas type /)
  const missing = await spoilt((container) => {
    delete container.name
  })
  assert.match(missing?.[0] ?? '', /containers\/0 required .*name/)
  assert.equal(await problemsOf({ apiVersion: 'apps/v1', kind: 'Deploymant', metadata: { name: 'x' } }), null, 'a kind that does not exist')
})

test('what the Prometheus operator reads is looked at just so', { skip }, async () => {
  const monitor = the(await renderOverlay('production'), 'ServiceMonitor', 'earthflow-proxy')
  assert.deepEqual(monitoringProblems(monitor), [])
  const spec = specOf<{ endpoints: object[] }>(monitor)
  assert.deepEqual(monitoringProblems({ ...monitor, spec: { ...spec, endpoints: [{ ...spec.endpoints[0], intervall: '1s' }] } }).length, 1)
  assert.deepEqual(monitoringProblems({ ...monitor, kind: 'ServiceMonitr' }).length, 1)
})

each('every object lies in the namespace and carries the labels of the application', (objects) => {
  for (const { kind, metadata } of objects) {
    const what = `${kind} ${metadata.name}`
    if (kind !== 'Namespace') assert.equal(metadata.namespace, 'earthflow', what)
    assert.equal(metadata.labels?.['app.kubernetes.io/name'], 'earthflow', what)
    assert.equal(metadata.labels?.['app.kubernetes.io/part-of'], 'earthflow', what)
    assert.equal(metadata.labels?.['app.kubernetes.io/version'], version, what)
    assert.ok(metadata.labels?.['app.kubernetes.io/component'], what)
  }
  const [namespace] = named(objects, 'Namespace')
  assert.equal(namespace?.metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted')
  const names = objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`)
  assert.deepEqual(names.toSorted(), [...new Set(names)].toSorted(), 'each stands once')
})

each('every image is of this version, and none is pulled by a word that may mean another tomorrow', (objects) => {
  const images = podsOf(objects).flatMap(({ spec }) => [...spec.containers, ...(spec.initContainers ?? [])].map(({ image }) => image))
  assert.ok(images.length > 0)
  for (const image of images) assert.match(image, new RegExp(`^earthflow(?:-tools)?:${version.replaceAll('.', '\\.')}$`))
})

each('every pod is restricted: not root, no rights, a read-only root, no token, no variables of Services', (objects) => {
  for (const { owner, spec } of podsOf(objects)) {
    assert.equal(spec.automountServiceAccountToken, false, owner)
    assert.equal(spec.serviceAccountName, 'earthflow', owner)
    assert.equal(spec.enableServiceLinks, false, owner)
    assert.ok(!spec.hostNetwork && !spec.hostPID && !spec.hostIPC, owner)
    const { runAsNonRoot, runAsUser, fsGroup, seccompProfile } = spec.securityContext ?? {}
    assert.deepEqual(
      { runAsNonRoot, runAsUser, fsGroup, seccompProfile },
      { runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000, seccompProfile: { type: 'RuntimeDefault' } },
      owner,
    )
    for (const { securityContext, resources } of [...spec.containers, ...(spec.initContainers ?? [])]) {
      assert.deepEqual(securityContext, { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } }, owner)
      for (const what of ['cpu', 'memory', 'ephemeral-storage'] as const) {
        assert.ok(resources?.requests?.[what], `${owner}: request of ${what}`)
        assert.ok(resources?.limits?.[what], `${owner}: limit of ${what}`)
      }
    }
    for (const { name, emptyDir } of spec.volumes ?? []) if (emptyDir) assert.ok(emptyDir.sizeLimit, `${owner}: ${name} is bounded`)
  }
})

each('every variable is a setting with a value it takes, and every file it names is mounted', (objects) => {
  for (const { owner, spec, claimed } of podsOf(objects)) {
    const volumes = new Map((spec.volumes ?? []).map((volume) => [volume.name, volume]))
    for (const container of spec.containers) {
      const environment = environmentOf(container, objects)
      assert.deepEqual(wrongSettings(environment), [], owner)
      assert.equal(environment.EARTHFLOW_ENV, 'production', owner)
      const mounts = container.volumeMounts ?? []
      for (const { name } of mounts) assert.ok(volumes.has(name) || claimed.includes(name), `${owner}: volume ${name}`)
      assert.ok(
        mounts.some(({ mountPath }) => mountPath === environment.EARTHFLOW_DATA_DIR),
        `${owner}: the data folder is writable`,
      )
      assert.ok(
        mounts.some(({ mountPath }) => mountPath === '/tmp'),
        `${owner}: /tmp is writable`,
      )
      for (const [name, path] of Object.entries(environment)) {
        if (!path.startsWith('/') || name === 'EARTHFLOW_DATA_DIR') continue
        const mount = mounts.find(({ mountPath }) => path.startsWith(`${mountPath}/`))
        const secret = volumes.get(mount?.name ?? '')?.secret
        assert.ok(secret, `${owner}: ${name} lies in a Secret`)
        assert.equal(secret.defaultMode, 0o440, owner)
        const key = path.slice(mount!.mountPath.length + 1)
        const keys = secret.secretName === 'earthflow-secrets' ? secretKeys : ['tls.crt', 'tls.key', 'ca.crt']
        assert.ok(keys.includes(key), `${owner}: ${name} is a key of ${secret.secretName}`)
      }
    }
  }
})
