/** A form is shown to those who may send it: what one may not do is not offered, by whatever address one comes. */
import { ApiRefusal } from '../api.ts'
import type { Reply, Visit } from '../page.ts'

const NOT_ALLOWED = 403

/** Refuses, in the API's words, whoever lacks the scope. */
export const only =
  (scope: string, get: (visit: Visit) => Promise<Reply>) =>
  async (visit: Visit): Promise<Reply> => {
    if (visit.may(scope)) return get(visit)
    throw new ApiRefusal({
      ok: false,
      status: NOT_ALLOWED,
      code: 'FORBIDDEN',
      message: `This needs the scope ${scope}.`,
      field: '',
      problems: [],
      requestId: '',
    })
  }
