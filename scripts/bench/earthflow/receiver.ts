/** A program: takes webhooks over https on 127.0.0.1, and answers each at once. Arguments: the port, and where certificate and key lie. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'

const [port, certPath, keyPath] = process.argv.slice(2)
if (port === undefined || certPath === undefined || keyPath === undefined) throw new Error('Say a port, a certificate and its key.')
createServer({ cert: readFileSync(certPath), key: readFileSync(keyPath) }, (request, response) => {
  request.resume().on('end', () => response.writeHead(200).end())
}).listen(Number(port), '127.0.0.1')
