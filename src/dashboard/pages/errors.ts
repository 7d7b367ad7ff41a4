/** What is shown where something is not: because the API refused it, or because of a surprise. */
import type { Refused } from '../api.ts'
import { html } from '../html.ts'
import { type Part, part, type View, view } from '../page.ts'
import { problem } from '../parts/notice.ts'

const titles: Readonly<Record<number, string>> = {
  400: 'Not understood',
  403: 'Not allowed',
  404: 'Not found',
  409: 'Not possible now',
  422: 'Not accepted',
  429: 'Too often',
  503: 'Not available',
}
const UNEXPECTED = 'Earthflow could not show this page. Try again; the log says why.'

/** Null: nobody refused, it broke. */
export const errorPage = (refused: Refused | null): View =>
  view(
    (refused && titles[refused.status]) ?? 'Something went wrong',
    [problem(refused?.message ?? UNEXPECTED, refused?.requestId), html`<p><a href="/">Back to the overview</a></p>`],
    { status: refused?.status ?? 500 },
  )

/** Where only a part of a page was asked for. */
export const errorPart = (refused: Refused | null): Part => part(problem(refused?.message ?? UNEXPECTED, refused?.requestId), refused?.status ?? 500)
