/**
 * Loaded by launch.mjs into what it starts: when the launcher dies without a word (SIGKILL), whoever it launched leaves too. Watching the parent's id
 * costs nothing and needs no open file that a process started later could inherit.
 */
import { isMainThread } from 'node:worker_threads'

const PARENT_POLL_MS = 1_000

if (isMainThread) {
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM')
  }, PARENT_POLL_MS).unref()
}
