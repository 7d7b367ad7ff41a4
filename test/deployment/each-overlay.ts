/** A test for each overlay of k8s/, and what is asked of its objects. */
import { test } from 'node:test'
import type { KubernetesObject } from './kubernetes-object.ts'
import { kubectl, type Overlay, overlays, renderOverlay } from './render-overlay.ts'

/** Why tests that render are not run; false where they are. */
export const skip = 'missing' in kubectl ? `no kubectl can be had: ${kubectl.missing}` : false

export function each(name: string, check: (objects: KubernetesObject[], overlay: Overlay) => void | Promise<void>): void {
  for (const overlay of overlays) test(`${overlay}: ${name}`, { skip }, async () => check(await renderOverlay(overlay), overlay))
}

export const named = (objects: readonly KubernetesObject[], kind: string): KubernetesObject[] => objects.filter((object) => object.kind === kind)

/** The one object of this kind and name. Throws where there is none. */
export function the(objects: readonly KubernetesObject[], kind: string, name: string): KubernetesObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name)
  if (found === undefined) throw new Error(`There is no ${kind} ${name}.`)
  return found
}

export const specOf = <Spec>(object: KubernetesObject): Spec => object.spec as Spec
