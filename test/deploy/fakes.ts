/** Programs that write down how they were called, and an Earthflow that answers as it is told. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deploy } from '../../src/deploy/deploy.ts'

export type Fakes = Awaited<ReturnType<typeof startFakes>>

/** `programs`: by name, the shell that runs after the call is written down. */
export async function startFakes(programs: Readonly<Record<string, string>>) {
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-deploy-'))
  const path = (...names: string[]): string => join(dir, ...names)
  mkdirSync(path('bin'))
  for (const [name, body] of Object.entries(programs)) {
    writeFileSync(path('bin', name), `#!/bin/sh\necho "${name} $*\${EARTHFLOW_VERSION:+ [$EARTHFLOW_VERSION]}" >> "$RECORD"\n${body}\n`)
    chmodSync(path('bin', name), 0o755)
  }
  /** What the deployed one says: its version, and whether it takes calls. */
  const said = { version: (): string => '', ready: (): boolean => true }
  const server = createServer((request, response) => {
    const isReady = said.ready()
    response.writeHead(request.url === '/health/ready' && !isReady ? 503 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(request.url === '/health' ? { status: 'OK', version: said.version() } : { status: isReady ? 'ok' : 'failed' }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const record = path('record')

  return {
    dir,
    path,
    said,
    url,
    /** What was called since the last time. */
    calls(): string[] {
      const lines = existsSync(record) ? readFileSync(record, 'utf8').trimEnd().split('\n') : []
      rmSync(record, { force: true })
      return lines
    },
    async run(args: readonly string[], more: Record<string, string> = {}, signal = new AbortController().signal) {
      const ended = { code: 0, out: '', error: '' }
      const terminal = { out: (text: string) => void (ended.out += text), error: (text: string) => void (ended.error += text) }
      const environment = { PATH: `${path('bin')}:/usr/bin:/bin`, RECORD: record, DIR: dir, ...more }
      ended.code = await deploy(args, terminal, { environment, now: Date.now, signal })
      return ended
    },
    async close() {
      await new Promise((resolve) => server.close(resolve))
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Docker with a state: which version runs, and which backups there are. */
export const DOCKER = `
case "$*" in
  *"config --quiet"*) [ -f "$DIR/docker-compose.prod.yml" ] || { echo "open docker-compose.prod.yml: no such file" >&2; exit 14; };;
  *" ps --status running"*) [ -f "$DIR/running" ] && echo abc123;;
  *" ps --all"*) echo "NAME  STATUS";;
  *" up "*) [ "$EARTHFLOW_VERSION" = "$BROKEN_IMAGE" ] && { echo "pull access denied" >&2; exit 1; }
    case "$*" in *" postgres"*) ;; *) echo "$EARTHFLOW_VERSION" > "$DIR/running";; esac;;
  *" tools backup "*) [ -n "$NO_BACKUP" ] && { echo "pg_dump failed" >&2; exit 1; }
    number=$(ls "$DIR/backups" | wc -l); name=earthflow-$number.tar; : > "$DIR/backups/$name"; echo "{\\"path\\": \\"/backups/$name\\"}";;
  *" tools restore "*) [ -n "$NO_RESTORE" ] && { echo "EARTHFLOW_MASTER_KEY does not open this backup" >&2; exit 1; }
    echo "It was restored.";;
  *" stop"*) rm -f "$DIR/running";;
esac
exit 0`
