/** Asks servers of the bench, over TLS too: their certificates are made for the run, and nobody vouches for them. */
import { Agent, request } from 'undici'

const agent = new Agent({ connect: { rejectUnauthorized: false }, keepAliveTimeout: 1, pipelining: 0 })

export interface Answer {
  status: number
  text: string
  headers: Record<string, string | string[] | undefined>
}

/** Rejects where nobody answers. */
export async function ask(
  url: string,
  { method = 'GET', headers = {}, body }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  const answer = await request(url, { dispatcher: agent, method: method as 'GET', headers, ...(body === undefined ? {} : { body }) })
  return { status: answer.statusCode, text: await answer.body.text(), headers: answer.headers }
}

/** Whether it answers with 200. */
export const answers = (url: string, how: Parameters<typeof ask>[1] = {}): Promise<boolean> =>
  ask(url, how).then(
    ({ status }) => status === 200,
    () => false,
  )
