/** An open load from a thread of its own, so that whoever measures beside it is not held up by it. */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { type Answered, type Offered, offer } from './load.ts'

export function offerFromThread(offered: Offered): Promise<Answered[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: offered })
    worker.once('message', resolve).once('error', reject)
  })
}

if (!isMainThread) parentPort?.postMessage(await offer(workerData as Offered))
