/** Forks workers, to which the primary hands the connections of the port in turn. */
import type { ChildProcess } from 'node:child_process'
import cluster from 'node:cluster'
import type { Child } from './crew.ts'
import type { FromPrimary, FromWorker } from './messages.ts'

export function forkWorker(): Child {
  const worker = cluster.fork()
  // What is said to one that is ending is lost, and may be.
  worker.on('error', () => {})
  endWhatWasHanded(worker.process)
  return {
    pid: worker.process.pid ?? 0,
    tell(message: FromPrimary) {
      if (worker.isConnected()) worker.send(message, () => {})
    },
    kill: () => void worker.process.kill('SIGKILL'),
    onMessage: (hear) => void worker.on('message', (message: FromWorker) => hear(message)),
    onEnd: (ended) =>
      void worker.once('exit', (code: number | null) => {
        // What it said last may still be on its way.
        if (worker.isConnected()) worker.once('disconnect', () => ended(code))
        else ended(code)
      }),
  }
}

/**
 * Node closes its own half of a connection when the worker says that it has taken it. Where the worker dies over it nobody would (Node 26): the client would
 * wait for ever. One at a time is on its way, so it is the last.
 */
function endWhatWasHanded(child: ChildProcess): void {
  const send = child.send.bind(child) as (...given: unknown[]) => boolean
  let handed: { close?: () => void } | undefined
  child.send = (...given: unknown[]): boolean => {
    if (given[1]) handed = given[1]
    return send(...given)
  }
  child.once('exit', () => handed?.close?.())
}
