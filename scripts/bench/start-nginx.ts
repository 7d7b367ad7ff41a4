import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createServerFolder, freePort, startServer } from '../../test/services/server-process.ts'
import { bringNginx } from './bring-tools.ts'
import { family, onCore } from './processes.ts'
import type { Ground, Running } from './servers.ts'

export async function startNginx({ core, providerPort }: Ground): Promise<Pick<Running, 'port' | 'pids' | 'stop'>> {
  const { program, env } = await bringNginx()
  const port = await freePort()
  const folder = createServerFolder({})
  const config = join(folder, 'nginx.conf')
  await writeFile(config, configuration(port, providerPort, folder))
  const server = await startServer({
    name: 'nginx',
    command: 'taskset',
    args: onCore(core, program, ['-e', 'stderr', '-p', folder, '-c', config]),
    env,
    account: {},
    folder,
    stopSignal: 'QUIT',
    ready: () =>
      fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: '{}' }).then(
        (response) => response.ok,
        () => false,
      ),
  })
  return { port, pids: await family(server.pid), stop: server.stop }
}

const configuration = (port: number, providerPort: number, folder: string): string => `
daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  client_body_buffer_size 256k;
  client_max_body_size 64m;
  keepalive_requests 1000000000;
  upstream provider { server 127.0.0.1:${providerPort}; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
`
