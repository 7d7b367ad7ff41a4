import { globSync } from 'node:fs'
import { relative, sep } from 'node:path'

/** Every test file below the folder's `test`, as sorted paths relative to it. Proofs are not tests: `npm run prove` runs them. */
export function findTests(root: string): string[] {
  const found = globSync('test/**/*.test.ts', { cwd: root }).map((path) => path.split(sep).join('/'))
  return found.filter((path) => !path.startsWith('test/proofs/')).sort()
}

/**
 * The files that filters name: a file, a folder, or part of a path. No filter means all. Throws when a filter names none, because then somebody
 * believes to have run what was never run.
 */
export function selectTests(files: readonly string[], filters: readonly string[], root: string): string[] {
  const wanted = filters.map((filter) => (filter.startsWith('/') ? relative(root, filter) : filter).replace(/^\.\//, '').replace(/\/+$/, ''))
  for (const filter of wanted) if (!files.some((file) => file.includes(filter))) throw new Error(`No test file has "${filter}" in its path.`)
  return files.filter((file) => wanted.length === 0 || wanted.some((filter) => file.includes(filter)))
}
