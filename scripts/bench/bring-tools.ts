/** The programs the bench needs: ours are compiled, nginx is found or unpacked from the distribution's package. */
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { unpackPackage } from '../../test/services/debian.ts'
import { runCommand } from '../../test/services/run-command.ts'

const sources = import.meta.dirname

/** Compiles the load generator and the fake provider into the folder. */
export async function compileTools(folder: string): Promise<{ load: string; provider: string }> {
  const compiler = (await find('gcc')) ?? (await find('cc')) ?? (await installCompiler())
  const load = join(folder, 'lg')
  const provider = join(folder, 'upstream')
  await runCommand(compiler, ['-O2', '-o', load, join(sources, 'lg.c'), '-lm'])
  await runCommand(compiler, ['-O2', '-o', provider, join(sources, 'upstream.c')])
  return { load, provider }
}

async function installCompiler(): Promise<string> {
  if (process.getuid?.() !== 0 || !(await find('apt-get'))) throw new Error('The bench needs a C compiler: install gcc and the headers of the C library.')
  await runCommand('apt-get', ['install', '-y', '--no-install-recommends', 'gcc', 'libc6-dev'])
  return 'gcc'
}

/** The machine's nginx, else the distribution's, unpacked and not installed. Throws where neither can be had. */
export async function bringNginx(): Promise<{ program: string; env: NodeJS.ProcessEnv }> {
  const found = await find('nginx')
  if (found) return { program: found, env: process.env }
  try {
    const { root, env } = await unpackPackage('nginx')
    const program = join(root, 'usr', 'sbin', 'nginx')
    await runCommand(program, ['-v'], { env })
    return { program, env }
  } catch (cause) {
    throw new Error('no nginx on PATH, and the distribution’s package could not be unpacked; install nginx, or leave it out with --servers', { cause })
  }
}

async function find(name: string): Promise<string | null> {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  for (const folder of folders) {
    const path = join(folder, name)
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (isThere) return path
  }
  return null
}
