import type { ServerResponse } from 'node:http'

/** The latest exchange of a connection. Once it is over, the call is let go: it would stay in memory for as long as its connection is idle. */
export class LatestExchange {
  /** Null when it is over. */
  answer: ServerResponse | null

  constructor(answer: ServerResponse) {
    this.answer = answer
    answer.once('finish', () => {
      // Of a request that was answered before it had come, it is asked whether it still comes.
      if (answer.req.complete) this.answer = null
    })
  }

  /** Whether all of the answer is on its way. */
  get isAnswered(): boolean {
    return this.answer === null || this.answer.writableFinished
  }

  /** Whether all of the request has come. */
  get isComplete(): boolean {
    return this.answer === null || this.answer.req.complete
  }
}
