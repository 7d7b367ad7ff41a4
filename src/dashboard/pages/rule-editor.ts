/** The form of a rule with the tester beside it. */
import type { Refused } from '../api.ts'
import { type Content, html } from '../html.ts'
import { type View, type Visit, view } from '../page.ts'
import { refusal } from '../parts/notice.ts'
import { type Draft, ruleFields } from './rule-form.ts'
import { sampleFields, sampleIn, trialResult, tryOn } from './rule-trial.ts'

interface RuleEditor {
  title: string
  above: Content
  draft: Draft
  /** What was sent, where the page is shown again. */
  typed: URLSearchParams | null
  refused: Refused | null
  action: string
  submit: string
  below: Content
}

/** Whether the draft is to be tried, and not kept. */
export const isTrial = (form: URLSearchParams): boolean => form.get('do') === 'try'

export async function ruleEditor(visit: Visit, { title, above, draft, typed, refused, action, submit, below }: RuleEditor): Promise<View> {
  const sample = sampleIn(typed ?? new URLSearchParams())
  const isTried = typed !== null && isTrial(typed) && refused === null
  const result = isTried ? trialResult(await tryOn(visit, sample, draft), sample) : null
  return view(
    title,
    html`${above}
    ${refusal(refused)}
    <form class="editor" method="post" action="${action}">
      <div class="form">${ruleFields(draft, { typed, refused })}
        <div class="actions"><button class="button primary" name="do" value="save">${submit}</button><a class="button" href="${visit.link('/rules')}">Cancel</a></div>
      </div>
      <section class="form tester" aria-labelledby="tester"><h2 id="tester">Try it</h2>
        ${sampleFields(sample)}
        <div class="actions"><button class="button" name="do" value="try" formnovalidate>Try this rule</button></div>
        <div aria-live="polite">${result}</div>
      </section>
    </form>
    ${below}`,
    { status: refused?.status ?? 200, scripts: ['rule-editor'] },
  )
}
