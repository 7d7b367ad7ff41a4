/** The thread that searches: it knows the questions of some policies, and finds in the pieces it is given what the main thread would. */
import { parentPort } from 'node:worker_threads'
import { Failure } from '../../errors.ts'
import { withoutBudget } from '../budget.ts'
import { allowanceFor } from '../search/allowance.ts'
import { type Findings, packFindings } from '../search/findings.ts'
import { compileSegmentSearch, type SegmentSearch } from '../search/search-segment.ts'
import { createFullness } from '../search/tally.ts'
import { atOnce } from '../search/turns.ts'
import { type FromThread, type ToThread, unpackPieces } from './messages.ts'

const searches = new Map<number, SegmentSearch>() // the main thread says when to forget one, and so bounds them

parentPort?.on('message', (message: ToThread) => {
  if (message.kind === 'forget') searches.delete(message.policy)
  else if (message.kind === 'learn') learn(message)
  else answer(message)
})

function learn({ policy, leaves, beyond }: Extract<ToThread, { kind: 'learn' }>): void {
  searches.set(policy, compileSegmentSearch(leaves, withoutBudget(), beyond))
}

function answer(message: Extract<ToThread, { kind: 'search' }>): void {
  try {
    const packed = packFindings(search(message))
    say({ kind: 'found', packed }, [packed.all.buffer, packed.ends.buffer])
  } catch (error) {
    say(error instanceof Failure ? { kind: 'failed', reason: error.reason, cause: error.cause } : { kind: 'failed', reason: 'internal', cause: error })
  }
}

function search({ policy, textBytes, packed }: Extract<ToThread, { kind: 'search' }>): Findings[] {
  const known = searches.get(policy)
  if (!known) throw new Error('The thread was asked to search for what it does not know.')
  const fullness = createFullness(known.leaves)
  const allowance = allowanceFor(textBytes)
  return unpackPieces(packed).map((piece) => {
    const findings = atOnce(known.search(piece, allowance, fullness))
    fullness.take(findings)
    return findings
  })
}

function say(answered: FromThread, transfer: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(answered, [...transfer])
}
