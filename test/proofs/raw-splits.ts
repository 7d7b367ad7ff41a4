import assert from 'node:assert/strict'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { LAST, play, type RawCase, rawCases } from '../proxy/raw-cases.ts'

export const about = 'every raw request, cut in two at every byte, has the answers that it has whole, behind TLS and without; nothing is smuggled past'

const AT_ONCE = 40
/** Of each case, in short form: a connection costs TLS some times as much. */
const CUTS_SHORT = { plain: 10, tls: 3 }

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { startDoors } = await import('../proxy/doors.ts')
  const { plain, doors, recorder, close } = await startDoors()
  const cases = rawCases(plain.tenant.api_key)
  let connections = 0
  try {
    for (const door of doors) {
      const began = performance.now()
      const plays: { one: RawCase; whole: number[]; bytes: Buffer; split: number }[] = []
      for (const one of cases) {
        if (door.isTls && one.id === 'S73') continue // a TLS hello, which is one there
        const bytes = Buffer.concat([one.bytes, Buffer.from(LAST)])
        const { statuses } = await play(door, bytes)
        const step = short ? Math.ceil(one.bytes.length / (door.isTls ? CUTS_SHORT.tls : CUTS_SHORT.plain)) : 1
        for (let split = 1; split < one.bytes.length; split += step) plays.push({ one, whole: statuses, bytes, split })
      }
      const different: string[] = []
      let next = 0
      await Promise.all(
        Array.from({ length: AT_ONCE }, async () => {
          for (let at = next++; at < plays.length; at = next++) {
            const { one, whole, bytes, split } = plays[at]!
            const { statuses } = await play(door, bytes, { split })
            if (statuses.join() !== whole.join()) different.push(`${one.id} cut at ${split}: ${statuses.join()} instead of ${whole.join()}`)
          }
        }),
      )
      connections += plays.length
      const seconds = (performance.now() - began) / 1000
      say(`${door.isTls ? 'TLS' : 'plain'}: ${cases.length} cases, ${plays.length} cuts in ${seconds.toFixed(1)} s, ${different.length} answered otherwise`)
      assert.deepEqual(different.slice(0, 20), [])
      assert.deepEqual((await play(door, Buffer.from(LAST))).statuses, [200])
    }
    const lines = new Set(recorder.take())
    say(`${connections} connections; the upstream was asked for ${[...lines].join(', ')} alone, ${recorder.paths.length} times`)
    assert.deepEqual([...lines], ['POST /v1/vector_stores HTTP/1.1'])
  } finally {
    await close()
  }
}
