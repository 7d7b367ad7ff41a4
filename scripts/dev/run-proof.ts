/** One proof in a process of its own, started by prove.ts: `run-proof.ts <file> <full|short>`. */
import { loadProof } from './proof.ts'

const [path, length] = process.argv.slice(2)
const databaseUrl = process.env.TEST_DATABASE_URL
if (path === undefined || databaseUrl === undefined) throw new Error('Proofs are run by `npm run prove`.')
const proof = await loadProof(path)
await proof.default({
  short: length === 'short',
  services: { databaseUrl, redisUrl: process.env.TEST_REDIS_URL },
  say: (line) => process.stdout.write(`  ${line}\n`),
})
// What a proof leaves open (a pool, a socket) must not keep it from ending.
process.exit()
