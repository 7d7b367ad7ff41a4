/** The files that pages name: our own, and those of the two libraries. They are known in full at the start, and nothing else of a disk is ever served. */
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const { resolve } = createRequire(import.meta.url)
const own = (name: string): string => join(import.meta.dirname, 'assets', name)

/** Each by the name in its address. */
const files: Readonly<Record<string, string>> = {
  'base.css': own('base.css'),
  'layout.css': own('layout.css'),
  'parts.css': own('parts.css'),
  'pages.css': own('pages.css'),
  'pages-run.css': own('pages-run.css'),
  'icon.svg': own('icon.svg'),
  'dashboard.js': own('dashboard.js'),
  'times.js': own('times.js'),
  'live.js': own('live.js'),
  'charts.js': own('charts.js'),
  'rule-editor.js': own('rule-editor.js'),
  'htmx.js': resolve('htmx.org/dist/htmx.min.js'),
  'uplot.js': resolve('uplot/dist/uPlot.iife.min.js'),
  'uplot.css': resolve('uplot/dist/uPlot.min.css'),
}
const types: Readonly<Record<string, string>> = { css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8', svg: 'image/svg+xml' }

/** Their address changes with any of them, so a browser never has to ask again (RFC 8246). */
const CACHED = 'public, max-age=31536000, immutable'
const EDITION_DIGITS = 16

export interface AssetUrls {
  /** Throws for a name that no file has. */
  of(name: string): string
}

export interface Assets extends AssetUrls {
  readonly names: readonly string[]
  /** Null where there is no such file, or not in this edition. */
  answer(path: string, headers: Headers): Response | null
}

/** Throws where one cannot be read. */
export function createAssets(): Assets {
  const contents = new Map(Object.entries(files).map(([name, path]) => [name, readFileSync(path)]))
  const edition = hash('sha256', Buffer.concat([...contents].flatMap(([name, content]) => [Buffer.from(`\n${name}\n`), content]))).slice(0, EDITION_DIGITS)
  const prefix = `/assets/${edition}/`
  return {
    names: [...contents.keys()],
    of(name) {
      if (!contents.has(name)) throw new Error(`There is no file ${name}.`)
      return `${prefix}${name}`
    },
    answer(path, headers) {
      const name = path.startsWith(prefix) ? path.slice(prefix.length) : ''
      const content = contents.get(name)
      if (!content) return null
      const etag = `"${edition}"`
      const cached = { 'cache-control': CACHED, etag }
      if (headers.get('if-none-match') === etag) return new Response(null, { status: 304, headers: cached })
      const type = types[name.split('.').at(-1) ?? ''] ?? 'application/octet-stream'
      return new Response(content, { headers: { ...cached, 'content-type': type, 'content-length': String(content.length) } })
    },
  }
}
