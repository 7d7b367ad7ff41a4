/** Text as HTML. What is put into a template is escaped, unless it is HTML already. */
import { html as template } from 'hono/html'

export type Html = ReturnType<typeof template>
/** What may stand in a template: nothing is written for null, undefined and booleans. */
export type Content = Html | string | number | boolean | null | undefined | readonly Content[]

export const html: (strings: TemplateStringsArray, ...values: Content[]) => Html = template
