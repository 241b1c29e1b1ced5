import type { CaseResult, Cell } from '../result.ts'
import { formatFigure } from './numbers.ts'

/** What is known of a case as soon as it is over: a line a registry, and the ratio. */
export function formatProgress({ cells, unit, ratio, wanted }: CaseResult): string {
  const asked = Object.entries(cells).filter(([, { kind }]) => kind !== 'unasked')
  const lines = asked.map(([name, cell]) => `    ${name.padEnd(12)} ${describe(cell, unit)}`)
  const wishes = wanted.map(
    ({ text, reached }) => `${text}: ${reached === undefined ? 'unknown' : reached ? 'yes' : 'NO'}`,
  )
  const verdict = [...(ratio === undefined ? [] : [`ratio ×${formatFigure(ratio)}`]), ...wishes].join(', ')
  return [...lines, ...(verdict === '' ? [] : [`    → ${verdict}`])].join('\n')
}

function describe(cell: Cell, unit: string): string {
  if (cell.kind !== 'measured') return `${cell.kind === 'failed' ? 'FAILED' : 'none'}: ${cell.reason}`
  const times =
    cell.p50 === undefined || cell.p99 === undefined
      ? ''
      : `, p50 ${formatFigure(cell.p50)} p99 ${formatFigure(cell.p99)} ms`
  return `${formatFigure(cell.value)} ${unit}${times}${cell.note === undefined ? '' : ` (${cell.note})`}`
}
