/** Pods as the objects of an overlay describe them. */
import type { KubernetesObject } from './kubernetes-object.ts'

export interface Container {
  name: string
  image: string
  args?: string[]
  ports?: { name: string; containerPort: number }[]
  env?: { name: string; value?: string }[]
  envFrom?: { configMapRef: { name: string } }[]
  volumeMounts?: { name: string; mountPath: string }[]
  resources?: { requests?: Record<string, string>; limits?: Record<string, string> }
  securityContext?: {
    allowPrivilegeEscalation?: boolean
    readOnlyRootFilesystem?: boolean
    capabilities?: { drop?: string[]; add?: string[] }
    privileged?: boolean
  }
  lifecycle?: { preStop?: { sleep?: { seconds: number } } }
  startupProbe?: Probe
  livenessProbe?: Probe
  readinessProbe?: Probe
}

export interface Probe {
  httpGet: { path: string; port: string; scheme: string }
}

export interface PodSpec {
  containers: Container[]
  initContainers?: Container[]
  volumes?: {
    name: string
    secret?: { secretName: string; defaultMode?: number; items?: unknown }
    emptyDir?: { sizeLimit?: string }
    persistentVolumeClaim?: { claimName: string }
  }[]
  serviceAccountName?: string
  automountServiceAccountToken?: boolean
  enableServiceLinks?: boolean
  terminationGracePeriodSeconds?: number
  hostNetwork?: boolean
  hostPID?: boolean
  hostIPC?: boolean
  securityContext?: { runAsNonRoot?: boolean; runAsUser?: number; fsGroup?: number; seccompProfile?: { type: string } }
}

export interface Pods {
  /** `Deployment earthflow-proxy` */
  owner: string
  kind: string
  labels: Record<string, string>
  spec: PodSpec
  /** Names of volumes that a StatefulSet makes for each pod. */
  claimed: string[]
}

interface Template {
  metadata: { labels: Record<string, string> }
  spec: PodSpec
}

interface Owner {
  template?: Template
  jobTemplate?: { spec: { template: Template } }
  volumeClaimTemplates?: { metadata: { name: string } }[]
}

export function podsOf(objects: readonly KubernetesObject[]): Pods[] {
  return objects.flatMap((object) => {
    const owner = (object.spec ?? {}) as Owner
    const template = owner.jobTemplate?.spec.template ?? owner.template
    if (template?.spec?.containers === undefined) return []
    const claimed = (owner.volumeClaimTemplates ?? []).map(({ metadata }) => metadata.name)
    return [{ owner: `${object.kind} ${object.metadata.name}`, kind: object.kind, labels: template.metadata.labels, spec: template.spec, claimed }]
  })
}

/** What a container's environment is, as settings: those of its ConfigMaps, and over them its own. */
export function environmentOf({ env = [], envFrom = [] }: Container, objects: readonly KubernetesObject[]): Record<string, string> {
  const maps = envFrom.map(({ configMapRef: { name } }) => {
    const map = objects.find((object) => object.kind === 'ConfigMap' && object.metadata.name === name)
    if (map === undefined) throw new Error(`There is no ConfigMap ${name}.`)
    return map.data as Record<string, string>
  })
  return Object.assign({}, ...maps, Object.fromEntries(env.map(({ name, value = '' }) => [name, value]))) as Record<string, string>
}
