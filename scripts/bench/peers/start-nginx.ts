import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createServerFolder, freePort, startServer } from '../../../test/services/server-process.ts'
import { answers } from '../ask.ts'
import { bringProgram } from '../bring-tools.ts'
import type { Ground } from '../ground.ts'
import { family, onCore } from '../processes.ts'
import { keepsNothing, type Running } from '../running.ts'

export async function startNginx({ cores, providerPort, certificate }: Ground, isTls: boolean): Promise<Running> {
  const { program, env } = await bringProgram('nginx')
  const port = await freePort()
  const folder = createServerFolder({})
  const config = join(folder, 'nginx.conf')
  await writeFile(config, configuration({ port, providerPort, folder, certificate: isTls ? certificate : null }))
  const server = await startServer({
    name: 'nginx',
    command: 'taskset',
    args: onCore(cores.server, program, ['-e', 'stderr', '-p', folder, '-c', config]),
    env,
    account: {},
    folder,
    stopSignal: 'QUIT',
    ready: () => answers(`${isTls ? 'https' : 'http'}://127.0.0.1:${port}/`, { method: 'POST', body: '{}' }),
  })
  return { ...keepsNothing, port, isTls, pids: await family(server.pid), folder: null, stop: server.stop }
}

interface Wanted {
  port: number
  providerPort: number
  folder: string
  certificate: Ground['certificate'] | null
}

const configuration = ({ port, providerPort, folder, certificate }: Wanted): string => `
daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  client_body_buffer_size 2m;
  client_max_body_size 64m;
  keepalive_requests 1000000000;
  upstream provider { server 127.0.0.1:${providerPort}; keepalive 2048; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096${certificate ? ' ssl' : ''};
    ${certificate ? `ssl_certificate ${certificate.certPath}; ssl_certificate_key ${certificate.keyPath}; ssl_protocols TLSv1.2 TLSv1.3;` : ''}
    location / {
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
`
