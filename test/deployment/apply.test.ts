import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { after, test } from 'node:test'

const script = join(import.meta.dirname, '..', '..', 'k8s', 'apply')
const folder = mkdtempSync(join(tmpdir(), 'earthflow-apply-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Runs k8s/apply with a kubectl that writes down what it is asked, renders `manifests`, and tells how the migration ended. */
function apply(overlay: string, { manifests, ended = '' }: { manifests: string; ended?: string }) {
  const bin = mkdtempSync(join(folder, 'bin-'))
  const log = join(bin, 'log')
  writeFileSync(join(bin, 'manifests'), manifests)
  writeFileSync(
    join(bin, 'kubectl'),
    `#!/bin/sh
echo "$*" >>'${log}'
case "$*" in
  kustomize*) cat '${bin}/manifests' ;;
  apply*) cat >/dev/null ;;
  *'get job'*) echo '${ended}' ;;
esac
`,
  )
  chmodSync(join(bin, 'kubectl'), 0o755)
  const { status, stderr } = spawnSync('/bin/sh', [script, overlay], { env: { PATH: `${bin}${delimiter}${process.env.PATH}` }, encoding: 'utf8' })
  const asked = status === 64 ? [] : readFileSync(log, 'utf8').trim().split('\n').slice(1)
  return { status, stderr, asked }
}

const withMigration = 'kind: Deployment\nmetadata:\n  name: earthflow-proxy\n---\nkind: Job\nmetadata:\n  name: earthflow-migrate\n'
const GET = '-n earthflow get job earthflow-migrate -o jsonpath={.status.conditions[?(@.status=="True")].type}'
const BEFORE = [
  'apply -f - -l app.kubernetes.io/component=settings',
  '-n earthflow delete job earthflow-migrate --ignore-not-found --wait',
  'apply -f - -l app.kubernetes.io/component=migrate',
  GET,
]

test('settings come first, then the migration, and pods only when it has succeeded', () => {
  const { status, asked } = apply('production', { manifests: withMigration, ended: 'SuccessCriteriaMet Complete' })
  assert.equal(status, 0)
  assert.deepEqual(asked, [...BEFORE, 'apply -f -', '-n earthflow rollout status deployment/earthflow-proxy --timeout=60m'])
})

test('where the migration fails no pod is replaced, and its log is shown', () => {
  const { status, stderr, asked } = apply('production', { manifests: withMigration, ended: 'FailureTarget Failed' })
  assert.equal(status, 1)
  assert.match(stderr, /no pod was replaced/)
  assert.deepEqual(asked, [...BEFORE, '-n earthflow logs job/earthflow-migrate --tail=50'])
})

test('an overlay without a migration is applied at once, and a StatefulSet waited for', () => {
  const { status, asked } = apply('minimal', { manifests: 'kind: StatefulSet\nmetadata:\n  name: earthflow-proxy\n' })
  assert.equal(status, 0)
  assert.deepEqual(asked, ['apply -f -', '-n earthflow rollout status statefulset/earthflow-proxy --timeout=60m'])
})

test('what is no overlay is refused with a word on how to say it', () => {
  for (const overlay of ['', 'nowhere']) {
    const { status, stderr } = apply(overlay, { manifests: '' })
    assert.equal(status, 64)
    assert.match(stderr, /k8s\/apply production/)
  }
})
