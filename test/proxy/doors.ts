/** One Earthflow behind a port of plain HTTP, another on the same database behind one of TLS alone, and one upstream that keeps every byte. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureDevelopmentCertificate } from '../../src/proxy/certificates.ts'
import { startEarthflow } from '../harness/earthflow.ts'
import { type Door, startRecorder } from './raw-cases.ts'

export async function startDoors() {
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-doors-'))
  const { key, cert } = await ensureDevelopmentCertificate(dir)
  const [keyPath, certPath] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
  writeFileSync(keyPath, key)
  writeFileSync(certPath, cert)
  const recorder = await startRecorder()
  const plain = await startEarthflow({ environment: { EARTHFLOW_TLS: 'terminated', TRUSTED_PROXIES: '127.0.0.1' } })
  await plain.addUpstream({ name: 'recorder', dialects: ['openai-chat'], base_url: `${recorder.origin}/v1`, priority: 1_000 })
  const secure = await startEarthflow({ databaseUrl: plain.databaseUrl, environment: { EARTHFLOW_TLS: 'on', TLS_KEY_PATH: keyPath, TLS_CERT_PATH: certPath } })
  const doors: readonly Door[] = [
    { port: plain.port, isTls: false },
    { port: secure.port, isTls: true },
  ]
  return {
    plain,
    doors,
    recorder,
    async close() {
      recorder.close()
      await secure.close()
      await plain.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
