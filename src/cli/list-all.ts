/** All that a list of the API has, page by page. */
import { z } from 'zod'
import type { Api } from './api.ts'
import { understood } from './understood.ts'

const PAGE = 1_000
/** As many as a list can be paged through. */
const PAGES_MAX = 1_000

/** Throws what the API throws. */
export async function listAll<One extends z.ZodType>(api: Api, path: string, name: string, one: One): Promise<z.output<One>[]> {
  const page = z.looseObject({ [name]: z.array(one), total: z.number() })
  const all: z.output<One>[] = []
  for (let at = 0; at < PAGES_MAX; at++) {
    const answer = understood(page, await api.ask('GET', `${path}?limit=${PAGE}&offset=${all.length}`)) as { total: number } & Record<string, z.output<One>[]>
    const found: z.output<One>[] = answer[name]
    all.push(...found)
    if (found.length === 0 || all.length >= answer.total) break
  }
  return all
}
