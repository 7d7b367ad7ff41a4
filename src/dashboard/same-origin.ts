/**
 * Whether a page of ours sent this, as the browser tells. It always does with a POST, in one header or the other (Fetch, section 3.2; Fetch Metadata), and no
 * page can make it say something else; what says nothing is refused. The API asks once more, by the same headers.
 */
export function isFromOurPage({ headers, url }: Request): boolean {
  const origin = headers.get('origin')
  const site = headers.get('sec-fetch-site')
  if (site !== null && site !== 'same-origin') return false
  if (origin === null) return site === 'same-origin'
  return URL.canParse(origin) && new URL(origin).host === (headers.get('host') ?? new URL(url).host).toLowerCase()
}
