/** What is measured: nobody in between, others, and Earthflow in its configurations. */
import { configurations } from './earthflow/configurations.ts'
import { startEarthflow } from './earthflow/start-earthflow.ts'
import type { Ground } from './ground.ts'
import { startHaproxy } from './peers/start-haproxy.ts'
import { startNginx } from './peers/start-nginx.ts'
import { startPortkey } from './peers/start-portkey.ts'
import { type BenchServer, keepsNothing } from './running.ts'

const peers: readonly BenchServer[] = [
  {
    name: 'direct',
    about: 'the load generator at the provider, nothing in between',
    isTls: false,
    isUnpinned: false,
    start: async ({ providerPort }) => ({ ...keepsNothing, port: providerPort, isTls: false, pids: [], folder: null, stop: async () => {} }),
  },
  {
    name: 'nginx',
    about: 'proxy_pass, buffering off, kept-alive upstream, one worker',
    isTls: false,
    isUnpinned: false,
    start: (ground) => startNginx(ground, false),
  },
  { name: 'nginx-tls', about: 'the same over TLS', isTls: true, isUnpinned: false, start: (ground) => startNginx(ground, true) },
  {
    name: 'haproxy',
    about: 'option http-no-delay, one thread, kept-alive server connections',
    isTls: false,
    isUnpinned: false,
    start: (ground) => startHaproxy(ground, false),
  },
  { name: 'haproxy-tls', about: 'the same over TLS', isTls: true, isUnpinned: false, start: (ground) => startHaproxy(ground, true) },
  { name: 'portkey', about: "Portkey's gateway from npm, no guardrails, the same Node", isTls: false, isUnpinned: false, start: startPortkey },
]

export const benchServers: readonly BenchServer[] = [
  ...peers,
  ...configurations.map((one) => ({
    ...one,
    isTls: one.setup.isTls,
    isUnpinned: one.setup.isUnpinned,
    start: (ground: Ground) => startEarthflow(ground, one.setup),
  })),
]

/** Throws a sentence where there is none of that name. */
export function serverNamed(name: string): BenchServer {
  const one = benchServers.find((each) => each.name === name)
  if (!one) throw new Error(`There is no server ${name}; there is ${benchServers.map((each) => each.name).join(', ')}.`)
  return one
}
