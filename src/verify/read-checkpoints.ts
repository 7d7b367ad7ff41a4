/** Checkpoints that were kept outside of the log: in a directory as AUDIT_CHECKPOINT_SINK fills it, in a file, or as GET /v1/audit/checkpoints answered. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isObject } from './record.ts'
import { Unusable } from './unusable.ts'
import type { OutsideNote } from './verify-log.ts'

const FILE_BYTES_MAX = 256 << 20

/** Throws Unusable where there are none. */
export async function readCheckpoints(path: string): Promise<OutsideNote[]> {
  const isDirectory = (await stat(path)).isDirectory()
  const names = isDirectory ? (await readdir(path)).filter((name) => /^[^.].*\.(?:checkpoint|json)$/.test(name)).sort() : ['']
  const notes: OutsideNote[] = []
  for (const name of names) notes.push(...(await notesIn(join(path, name))))
  if (notes.length === 0)
    throw new Unusable(`${path} holds no checkpoints${isDirectory ? ': their names end in .checkpoint, or .json for answers of the API' : ''}.`)
  return notes
}

async function notesIn(path: string): Promise<OutsideNote[]> {
  if ((await stat(path)).size > FILE_BYTES_MAX) throw new Unusable(`${path} is longer than ${FILE_BYTES_MAX} bytes.`)
  const text = await readFile(path, 'utf8')
  if (!text.trimStart().startsWith('{')) return [{ note: text, source: path }]
  const answer = parsed(text)
  const list = isObject(answer) && (Array.isArray(answer.checkpoints) ? answer.checkpoints : [answer])
  if (!list) throw new Unusable(`${path} is no answer of GET /v1/audit/checkpoints.`)
  return list.map((each: unknown, i) => {
    if (!isObject(each) || typeof each.note !== 'string') throw new Unusable(`${path} is no answer of GET /v1/audit/checkpoints.`)
    return { note: each.note, source: `${path}, checkpoint ${i + 1}` }
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
