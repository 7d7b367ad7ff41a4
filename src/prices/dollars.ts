/** Money is counted in nano-dollars, billionths of a US dollar: whole numbers, so that sums are exact. A JavaScript number holds nine million dollars of them. */
export const NANO_PER_DOLLAR = 1_000_000_000

/** `0.000012345`: as rows and answers write it, without zeros at the end. */
export function toDollars(nano: number): string {
  const digits = String(Math.abs(nano)).padStart(10, '0')
  const fraction = digits.slice(-9).replace(/0+$/, '')
  return `${nano < 0 ? '-' : ''}${digits.slice(0, -9)}${fraction === '' ? '' : `.${fraction}`}`
}

/** To the nearest nano-dollar. */
export const toNano = (dollars: number): number => Math.round(dollars * NANO_PER_DOLLAR)
