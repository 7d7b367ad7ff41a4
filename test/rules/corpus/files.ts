/** Files that developers paste and agents read all day: those of the packages that package.json names with an exact version, so that they stay the same. */
import { globSync, readFileSync, statSync } from 'node:fs'

export interface CorpusText {
  /** The path of the file, or the kind of what was written and its number. */
  name: string
  text: string
}

/** What is read of a file: its beginning, and of a long one its end too, where source maps and bundles look quite different. */
const PIECE_BYTES_MAX = 32 * 1024
/** Of one package and kind of file. */
const FILES_MAX = 10
const LOCKFILES = ['package-lock.json', 'node_modules/.package-lock.json']

/** Kinds of files by how their names end, the longest ending first; a name without an ending is one of these papers. */
const ENDING = /(?:\.d)?\.(?:[cm]?[jt]s|json|md|mdx|txt|html|css|yml|yaml|sh)(?:\.map)?$/
const PAPER = /(?:^|\/)(?:LICEN[SC]E|NOTICE|COPYING|CHANGELOG|README|AUTHORS)[^/]*$/i

export function fileTexts(): CorpusText[] {
  const { dependencies, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, Record<string, string>>
  const packages = Object.keys({ ...dependencies, ...devDependencies }).sort()
  const chosen = packages.flatMap((name) => {
    const folder = `node_modules/${name}`
    const files = globSync(`${folder}/**/*`, { exclude: (path) => String(path).slice(folder.length).includes('node_modules') })
      .map((path) => path.replaceAll('\\', '/'))
      .filter((path) => kindOf(path) !== undefined && statSync(path).isFile())
    return [...Map.groupBy(files.sort(), kindOf).values()].flatMap((alike) => strided(alike, FILES_MAX))
  })
  return [...chosen.sort().flatMap(endsOf), ...LOCKFILES.flatMap(piecesOf)]
}

const kindOf = (path: string): string | undefined => (PAPER.test(path) ? 'paper' : ENDING.exec(path)?.[0])

/** So many of them, evenly over all. */
const strided = <T>(items: readonly T[], count: number): T[] =>
  items.length <= count ? [...items] : Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)])

function endsOf(path: string): CorpusText[] {
  const pieces = piecesOf(path)
  return pieces.length < 3 ? pieces.slice(0, 1) : [pieces[0], pieces[pieces.length - 1]]
}

/** The whole file in pieces, which may begin and end within a word but not within a character. */
function piecesOf(path: string): CorpusText[] {
  const text = readFileSync(path, 'utf8')
  const count = Math.max(1, Math.ceil(text.length / PIECE_BYTES_MAX))
  return Array.from({ length: count }, (_, i) => ({
    name: i === 0 ? path : `${path} from ${i * PIECE_BYTES_MAX}`,
    text: text.slice(i * PIECE_BYTES_MAX, (i + 1) * PIECE_BYTES_MAX).toWellFormed(),
  }))
}
