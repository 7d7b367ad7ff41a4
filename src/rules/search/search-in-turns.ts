/**
 * The search for calls that others wait behind: what was found in a text before is remembered, a long search lets the event loop turn, and a very long
 * one is left to another thread. It finds exactly what the search at once finds.
 */

import { TooSlow } from './allowance.ts'
import { digestOf } from './digest.ts'
import { type Findings, isHurried, suffice } from './findings.ts'
import type { FindingsCache } from './findings-cache.ts'
import type { Piece } from './piece.ts'
import { jointsIn, type Known, pieceOf, pieceOfJoints, type Search } from './search.ts'
import type { SegmentSearch } from './search-segment.ts'
import { SEGMENT_BYTES, type Segment, segmentsOf } from './segments.ts'
import { createFullness, type Hits, type SearchedTexts } from './tally.ts'
import type { Steps, Turns, Waiting } from './turns.ts'

/** Another thread that searches. What it answers is by piece. */
export interface OtherThread {
  search(work: { search: SegmentSearch; pieces: readonly Piece[]; textBytes: number }, waiting: Waiting | null): Promise<readonly Findings[]>
}

/** What the searches of one process share. */
export interface SharedSearch {
  turns: Turns
  cache: FindingsCache
  thread: OtherThread
}

/** More bytes of texts that nobody remembers are left to the other thread. */
const OWN_BYTES_MAX = 256 << 10
/** What one step may take in a thread that others wait for. */
const STEP_MS_MAX = 25

interface Plan extends Known {
  findings: (Findings | undefined)[]
  digests: (string | undefined)[]
}

/** Answers at once unless it takes longer than a turn. Throws, or rejects, like the search at once, and with whatever Failure the other thread has. */
export function searchInTurns(
  search: Search,
  texts: SearchedTexts,
  { shared, waiting }: { shared: SharedSearch; waiting: Waiting | null },
): Hits | null | Promise<Hits | null> {
  if (texts.text.length <= SEGMENT_BYTES) return searchSmall(search, texts, { shared, waiting })
  const plan = planFor(search, texts, shared.cache)
  try {
    const found = shared.turns(searchHere(search, texts, plan, shared.cache), waiting)
    return found instanceof Promise ? found.then(orElsewhere, elsewhere) : orElsewhere(found)
  } catch (error) {
    return elsewhere(error)
  }

  function orElsewhere(found: Hits | null | typeof TOO_MUCH): Hits | null | Promise<Hits | null> {
    return found === TOO_MUCH ? searchThere(search, texts, { plan, shared, waiting }) : found
  }
  function elsewhere(error: unknown): Promise<Hits | null> {
    if (!(error instanceof TooSlow)) throw error
    return searchThere(search, texts, { plan, shared, waiting })
  }
}

/** Of what is one segment, which is not remembered: mostly it is searched in one go. */
function searchSmall(search: Search, texts: SearchedTexts, means: { shared: SharedSearch; waiting: Waiting | null }): Hits | null | Promise<Hits | null> {
  const known: Known = { segments: segmentsOf(texts), findings: NONE, joints: jointsIn(texts, search.joints), stepMsMax: STEP_MS_MAX, learn: forgetIt }
  try {
    const found = means.shared.turns(search.steps(texts, known), means.waiting)
    return found instanceof Promise ? found.catch((error: unknown) => searchSmallThere(error, search, texts, means)) : found
  } catch (error) {
    return searchSmallThere(error, search, texts, means)
  }
}
const NONE: readonly never[] = []
const forgetIt = (): void => {}

function searchSmallThere(
  error: unknown,
  search: Search,
  texts: SearchedTexts,
  { shared, waiting }: { shared: SharedSearch; waiting: Waiting | null },
): Promise<Hits | null> {
  if (!(error instanceof TooSlow)) throw error
  return searchThere(search, texts, { plan: planFor(search, texts, shared.cache), shared, waiting })
}

const TOO_MUCH = Symbol('more than this thread should search')

function planFor(search: Search, texts: SearchedTexts, cache: FindingsCache): Plan {
  const segments = segmentsOf(texts)
  const digests: Plan['digests'] = new Array(segments.length)
  const findings: Plan['findings'] = new Array(segments.length)
  return {
    segments,
    digests,
    findings,
    joints: jointsIn(texts, search.joints),
    stepMsMax: STEP_MS_MAX,
    learn(i, found) {
      findings[i] = found
      const digest = digests[i]
      if (digest !== undefined && !isHurried(found)) cache.set(search.segment, digest, found)
    },
  }
}

/** Recalls what it can, and searches the rest unless that is too much. */
function* searchHere(search: Search, texts: SearchedTexts, plan: Plan, cache: FindingsCache): Steps<Hits | null | typeof TOO_MUCH> {
  const { segments, findings, digests, joints } = plan
  const fullness = createFullness(search.segment.leaves)
  let missing = joints?.joints.text.length ?? 0
  for (let i = 0; i < segments.length; i++) {
    const known = segments[i].closed ? yield* recall(i) : undefined
    if (known) fullness.take((findings[i] = known))
    else missing += bytesOf(segments[i])
  }
  return missing > OWN_BYTES_MAX ? TOO_MUCH : yield* search.steps(texts, plan)

  function* recall(i: number): Steps<Findings | undefined> {
    if (i > 0) yield
    const digest = yield* digestOf(pieceOf(texts, segments[i]), search.segment.asksLast)
    digests[i] = digest
    const known = cache.get(search.segment, digest)
    return known && suffice(known, fullness) ? known : undefined
  }
}

async function searchThere(
  search: Search,
  texts: SearchedTexts,
  { plan, shared, waiting }: { plan: Plan; shared: SharedSearch; waiting: Waiting | null },
): Promise<Hits | null> {
  const { segments, joints } = plan
  const missing = segments.flatMap((segment, i) => (plan.findings[i] === undefined ? [{ segment, i }] : []))
  const pieces = missing.map(({ segment }) => pieceOf(texts, segment))
  const work = { search: search.segment, pieces: joints ? [...pieces, pieceOfJoints(joints.joints)] : pieces, textBytes: texts.text.length }
  const found = await shared.thread.search(work, waiting)
  missing.forEach(({ i }, n) => {
    plan.learn(i, found[n])
  })
  const known: Known = { ...plan, joints: joints && { ...joints, findings: found[missing.length] } }
  return shared.turns(search.steps(texts, known), waiting)
}

const bytesOf = ({ from, to }: Segment): number => to - from
